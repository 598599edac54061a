//! Numbers read strictly: digits and nothing else.

/// Why a text is not the number that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotANumber {
    Malformed,
    Negative,
    TooLarge,
}

/// A whole number of plain digits.
///
/// A negative one is told apart, because it breaks the rule of the value and not its form.
pub(crate) fn whole(text: &str) -> Result<u64, NotANumber> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotANumber::Malformed);
    }
    if negative && digits.bytes().any(|byte| byte != b'0') {
        return Err(NotANumber::Negative);
    }
    digits.parse().map_err(|_| NotANumber::TooLarge)
}

/// A decimal number such as `0.2`, never infinite and never NaN.
pub(crate) fn decimal(text: &str) -> Result<f64, NotANumber> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(NotANumber::Malformed);
    }
    match unsigned.parse::<f64>() {
        Ok(0.0) => Ok(0.0),
        Ok(_) if negative => Err(NotANumber::Negative),
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) | Err(_) => Err(NotANumber::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn only_digits_are_a_number() {
        for text in [
            "", "-", "+1", "1.5", "1e3", "0x10", "1_000", "1,000", " 1", "NaN", "Infinity", "٣",
            "--1", "30s",
        ] {
            assert_eq!(whole(text), Err(NotANumber::Malformed), "{text:?}");
        }
        assert_eq!(whole("007"), Ok(7));
        assert_eq!(whole("-0"), Ok(0));
        assert_eq!(whole("-5"), Err(NotANumber::Negative));
        assert_eq!(whole("18446744073709551616"), Err(NotANumber::TooLarge));
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal("0.25"), Ok(0.25));
        assert_eq!(decimal("1"), Ok(1.0));
        assert_eq!(decimal("-0.0"), Ok(0.0));
        assert_eq!(decimal("-0.1"), Err(NotANumber::Negative));
        assert_eq!(decimal(&"9".repeat(400)), Err(NotANumber::TooLarge));
        for text in ["", ".", ".5", "5.", "NaN", "inf", "1e-3", "1.2.3", "0,5"] {
            assert_eq!(decimal(text), Err(NotANumber::Malformed), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let _ = whole(&text);
            let _ = decimal(&text);
        }

        #[test]
        fn every_number_comes_back(number in any::<u64>()) {
            prop_assert_eq!(whole(&number.to_string()), Ok(number));
        }
    }
}

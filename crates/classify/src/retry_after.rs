use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// The wait that a `Retry-After` header asks for, as seen at `now`, which is asked only about a date.
///
/// Understands both forms of [RFC 9110, section 10.2.3][rfc]: a number of seconds, and a date.
/// A date that has passed asks for no wait. A header that is neither form, or is sent twice,
/// is as good as none.
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let value = values.next()?.to_str().ok()?.trim();
    if values.next().is_some() {
        return None;
    }
    if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        // More digits than fit still mean "very long"; whoever waits has a cap of its own.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now()).unwrap_or_default())
}

/// The whole seconds to announce in a `Retry-After` header for a wait of `duration`.
///
/// Rounded up and at least one: a client that is told zero comes back at once.
#[must_use]
pub fn retry_after_seconds(duration: Duration) -> u64 {
    let partial = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(partial).max(1)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn parse(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        retry_after(&headers, || SystemTime::UNIX_EPOCH + NOW)
    }

    #[test]
    fn both_forms_are_understood() {
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        let date = SystemTime::UNIX_EPOCH + NOW + Duration::from_secs(90);
        let date = httpdate::fmt_http_date(date);
        assert_eq!(parse(&date), Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_date_in_the_past_asks_for_no_wait() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn nonsense_is_no_hint() {
        for value in ["", "-1", "1.5", "soon", "1 2", "0x10", "+5"] {
            assert_eq!(parse(value), None, "{value:?}");
        }
        assert_eq!(
            retry_after(&HeaderMap::new(), || SystemTime::UNIX_EPOCH),
            None
        );
    }

    #[test]
    fn a_contradiction_is_no_hint() {
        let mut headers = HeaderMap::new();
        headers.append(RETRY_AFTER, HeaderValue::from_static("1"));
        headers.append(RETRY_AFTER, HeaderValue::from_static("900"));
        assert_eq!(retry_after(&headers, || SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn more_digits_than_fit_mean_very_long() {
        assert_eq!(
            parse("99999999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
    }

    #[test]
    fn announced_seconds_are_rounded_up_and_never_zero() {
        assert_eq!(retry_after_seconds(Duration::ZERO), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(900)), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(retry_after_seconds(Duration::from_secs(7)), 7);
        assert_eq!(retry_after_seconds(Duration::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_header_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(RETRY_AFTER, value);
                let _ = retry_after(&headers, || SystemTime::UNIX_EPOCH + NOW);
            }
        }

        #[test]
        fn whole_seconds_come_back(seconds in any::<u64>()) {
            prop_assert_eq!(parse(&seconds.to_string()), Some(Duration::from_secs(seconds)));
        }
    }
}

use crate::{Malformed, Place};

/// The text of a file, without the mark that some editors begin it with.
///
/// # Errors
///
/// When the bytes are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let lines = before.iter().filter(|byte| **byte == b'\n').count();
            let last = before
                .rsplit(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            let column = String::from_utf8_lossy(last).chars().count();
            let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
            let place = Place {
                line: number(lines),
                column: number(column),
            };
            Err(Malformed::new(place, "not UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_has_its_place() {
        assert_eq!(utf8(b"\xef\xbb\xbfa"), Ok("a"));
        let error = utf8(b"a: 1\n\xc3\xa4: \xff").unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 4: not UTF-8");
    }
}

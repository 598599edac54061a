/// Whether a line can be a message: a JSON object, or a batch of objects.
///
/// Looks at the two ends only; whoever reads the message finds what is wrong in between. That is
/// enough to tell it from what programs print by mistake, also from `[INFO] listening`.
pub(super) fn is_message(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    match line {
        [b'{', rest @ .., b'}'] => matches!(rest.trim_ascii_start().first(), Some(b'"') | None),
        [b'[', rest @ .., b']'] => matches!(rest.trim_ascii_start().first(), Some(b'{') | None),
        _ => false,
    }
}

/// Whether a line without its end is the beginning of a message.
pub(super) fn begins_message(line: &[u8]) -> bool {
    match line.trim_ascii_start() {
        [b'{', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}') | None),
        [b'[', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'{' | b']') | None),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{begins_message, is_message};

    #[test]
    fn objects_and_batches_are_messages() {
        for line in [
            r#"{"id":1}"#,
            " { \"id\" : 1 } ",
            "{}",
            "[]",
            r#"[ {"id":1} ]"#,
        ] {
            assert!(is_message(line.as_bytes()), "{line}");
            assert!(begins_message(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn what_programs_print_is_none() {
        for line in [
            "Server running on stdio",
            "[INFO] listening",
            "[2026-01-01] started [ok]",
            "{ name: 'tool' }",
            "[1, 2]",
            "1",
            "\"text\"",
            "null",
            "",
            "}",
        ] {
            assert!(!is_message(line.as_bytes()), "{line}");
            assert!(!begins_message(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn half_a_message_is_its_beginning() {
        for line in ["{", "{\"id\":", "[", "[{\"id\":1}"] {
            assert!(!is_message(line.as_bytes()), "{line}");
            assert!(begins_message(line.as_bytes()), "{line}");
        }
    }
}

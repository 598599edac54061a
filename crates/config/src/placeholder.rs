//! Values of example files that are no secrets.

/// Whether `secret` is what an example or a template holds in place of a secret.
///
/// Recognised are the values of the documented examples and of the development configuration,
/// and the usual ways to say "fill this in".
pub(crate) fn is_placeholder(secret: &str) -> bool {
    const EXACT: [&str; 9] = [
        "dev-user-token",
        "dev-transaction-key",
        "dev-product-token",
        "placeholder",
        "example",
        "undefined",
        "null",
        "todo",
        "tbd",
    ];
    const MARKS: [&str; 2] = ["changeme", "replaceme"];

    let lower = secret.trim().to_ascii_lowercase();
    let bare: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    let enclosed = |open: &str, close: &str| lower.starts_with(open) && lower.ends_with(close);
    EXACT.contains(&lower.as_str())
        || MARKS.iter().any(|mark| bare.contains(mark))
        || lower.starts_with("your-")
        || lower.starts_with("your_")
        || enclosed("<", ">")
        || enclosed("${", "}")
        || enclosed("{{", "}}")
        || lower.bytes().all(|byte| matches!(byte, b'x' | b'*' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_recognised() {
        for secret in [
            "your-bearer-token",
            "your-api-key",
            "your-access-token",
            "your_secret",
            "CHANGE_ME",
            "changeme",
            "please-change-me-now",
            "<token>",
            "${TOKEN}",
            "{{ token }}",
            "dev-user-token",
            "dev-transaction-key",
            "dev-product-token",
            "xxxxxxxx",
            "***",
            "TODO",
        ] {
            assert!(is_placeholder(secret), "{secret}");
        }
    }

    #[test]
    fn secrets_are_not() {
        for secret in [
            "my-token",
            "dev-token-7",
            "sk-abc123",
            "a<b>",
            "yours",
            "secret",
        ] {
            assert!(!is_placeholder(secret), "{secret}");
        }
    }
}

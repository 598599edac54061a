use std::os::unix::ffi::OsStrExt;

use super::{Command, Limits};

/// The end of what a child wrote to its standard error.
///
/// Servers print tokens and what they are asked there. So it is kept for the operator who asks why
/// a server does not start, or looks closely, and even then without the values that were set for
/// the child.
pub(super) struct StderrTail {
    /// Up to twice what is kept, so that moving it is rare.
    bytes: Vec<u8>,
    /// Whether something before `bytes` is gone, so that they may begin with half a secret.
    cut: bool,
    /// Name and value, longest first, since one may be the beginning of another.
    secrets: Vec<(String, Vec<u8>)>,
    keep_bytes: usize,
    keep_lines: usize,
}

impl StderrTail {
    pub(super) fn new(command: &Command, limits: &Limits) -> Self {
        let mut secrets: Vec<_> = command
            .secrets()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.as_bytes().to_vec(),
                )
            })
            .collect();
        secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self {
            bytes: Vec::new(),
            cut: false,
            secrets,
            keep_bytes: limits.stderr_bytes,
            keep_lines: limits.stderr_lines,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        // The longest secret on top: what is cut through is dropped again when it is shown.
        let keep = self.keep_bytes + self.margin();
        if self.bytes.len() > 2 * keep {
            self.bytes.drain(..self.bytes.len() - keep);
            self.cut = true;
        }
    }

    fn margin(&self) -> usize {
        self.secrets.first().map_or(0, |(_, value)| value.len())
    }

    /// The last lines, control characters escaped, secrets replaced by their names.
    pub(super) fn render(&self) -> String {
        let redacted = self.redacted();
        let start = if self.cut { self.margin() } else { 0 };
        let text = &redacted[start.min(redacted.len())..];
        let text = &text[text.len().saturating_sub(self.keep_bytes)..];
        let text = String::from_utf8_lossy(text);
        let text = text.trim_end();
        let lines: Vec<&str> = text.lines().rev().take(self.keep_lines).collect();
        let mut rendered = String::with_capacity(text.len());
        for line in lines.into_iter().rev() {
            if !rendered.is_empty() {
                rendered.push('\n');
            }
            for character in line.chars() {
                // Terminals act on these; a tab does no harm.
                if character.is_control() && character != '\t' {
                    rendered.extend(character.escape_default());
                } else {
                    rendered.push(character);
                }
            }
        }
        rendered
    }

    fn redacted(&self) -> Vec<u8> {
        let mut output = Vec::with_capacity(self.bytes.len());
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let secret = self
                .secrets
                .iter()
                .find(|(_, value)| rest.starts_with(value));
            if let Some((name, value)) = secret {
                output.extend_from_slice(b"[");
                output.extend_from_slice(name.as_bytes());
                output.extend_from_slice(b"]");
                rest = &rest[value.len()..];
            } else {
                output.push(rest[0]);
                rest = &rest[1..];
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Command, Limits, StderrTail};

    fn tail(command: &Command, bytes: usize, lines: usize) -> StderrTail {
        let limits = Limits {
            stderr_bytes: bytes,
            stderr_lines: lines,
            ..Limits::default()
        };
        StderrTail::new(command, &limits)
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut tail = tail(&Command::new("x"), 1000, 2);
        tail.push(b"one\ntwo\nthr");
        tail.push(b"ee\n");
        assert_eq!(tail.render(), "two\nthree");
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut tail = tail(&Command::new("x"), 100, 1000);
        for _ in 0..10_000 {
            tail.push(b"0123456789\n");
            assert!(tail.bytes.len() <= 200);
        }
        assert!(tail.render().len() <= 100);
        tail.push(&[b'x'; 100_000]);
        assert_eq!(tail.render(), "x".repeat(100));
    }

    #[test]
    fn control_characters_are_escaped() {
        let mut tail = tail(&Command::new("x"), 1000, 10);
        tail.push(b"\x1b[2J\ta\x07\xff\n\x9b");
        assert_eq!(tail.render(), "\\u{1b}[2J\ta\\u{7}\u{fffd}\n\u{fffd}");
    }

    #[test]
    fn secrets_of_the_child_are_replaced_by_their_names() {
        let command = Command::new("x")
            .env("TOKEN", "sk-123456")
            .env("LONGER", "sk-1234567890")
            .env("DEBUG", "1");
        let mut tail = tail(&command, 1000, 10);
        tail.push(b"using sk-12");
        tail.push(b"3456, then sk-1234567890; 1");
        assert_eq!(tail.render(), "using [TOKEN], then [LONGER]; 1");
    }

    #[test]
    fn texts_that_are_hidden_are_replaced_however_short() {
        let command = Command::new("x").env("DEBUG", "true").hidden(["pw12", ""]);
        let mut tail = tail(&command, 1000, 10);
        tail.push(b"debug is true, password is pw12");
        assert_eq!(tail.render(), "debug is true, password is [redacted]");
    }

    proptest! {
        /// Wherever the ring cuts, what it shows has no six bytes of the secret in a row.
        #[test]
        fn no_half_of_a_secret_is_left_at_the_cut(noise in 0_usize..80, times in 1_usize..40) {
            let secret = "abcdefghijklmnopqrstuvwxyz";
            let command = Command::new("x").env("S", secret);
            let mut tail = tail(&command, 50, 100);
            tail.push(&vec![b'-'; noise]);
            for _ in 0..times {
                tail.push(secret.as_bytes());
                tail.push(b"=");
            }
            let shown = tail.render();
            for at in 0..secret.len() - 6 {
                prop_assert!(!shown.contains(&secret[at..at + 6]), "{}", shown);
            }
        }
    }
}

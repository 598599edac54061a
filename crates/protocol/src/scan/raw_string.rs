use std::borrow::Cow;

/// A string as it stands in the text, with its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawString<'a> {
    pub(crate) raw: &'a str,
    /// The offset of the first quote.
    pub(crate) start: usize,
    pub(super) escaped: bool,
}

impl<'a> RawString<'a> {
    /// The decoded text; `None` if it holds half a surrogate pair, which no text can.
    pub(crate) fn decode(self) -> Option<Cow<'a, str>> {
        if self.escaped {
            serde_json::from_str(self.raw).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&self.raw[1..self.raw.len() - 1]))
        }
    }

    /// Whether the decoded text is `text`.
    pub(crate) fn is(self, text: &str) -> bool {
        if self.escaped {
            self.decode().is_some_and(|decoded| decoded == text)
        } else {
            self.raw.len() == text.len() + 2
                && self.raw.as_bytes()[1..=text.len()] == *text.as_bytes()
        }
    }

    /// Whether a reader that ignores letter case takes the text for `text`, which is ASCII.
    pub(crate) fn folds_to(self, text: &str) -> bool {
        if !self.escaped && self.raw.is_ascii() {
            return self.raw.len() == text.len() + 2
                && self.raw.as_bytes()[1..=text.len()].eq_ignore_ascii_case(text.as_bytes());
        }
        // The long s and the Kelvin sign are the letters beyond ASCII that fold into it.
        let folded = |letter: char| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        };
        self.decode()
            .is_some_and(|decoded| decoded.chars().map(folded).eq(text.chars().map(folded)))
    }
}

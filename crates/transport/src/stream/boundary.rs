/// Whether a stream of events stands between two events, whatever pieces it comes in.
///
/// An event ends with an empty line, and a line with `\n`, `\r` or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boundary {
    /// The current line has no byte yet.
    line_is_empty: bool,
    /// The last line was empty, and the current one is.
    between_events: bool,
    /// The last byte was `\r`, so that a `\n` belongs to it.
    after_carriage_return: bool,
}

impl Boundary {
    /// The beginning of a stream.
    pub(super) const START: Self = Self {
        line_is_empty: true,
        between_events: true,
        after_carriage_return: false,
    };

    const WITHIN_LINE: Self = Self {
        line_is_empty: false,
        between_events: false,
        after_carriage_return: false,
    };

    pub(super) fn is_between_events(self) -> bool {
        self.between_events
    }

    /// Goes on by these bytes, of which only the line ends at their end are looked at.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        let is_text = |&byte: &u8| !matches!(byte, b'\n' | b'\r');
        let mut ends = bytes;
        if let Some(last_text) = bytes.iter().rposition(is_text) {
            *self = Self::WITHIN_LINE;
            ends = &bytes[last_text + 1..];
        }
        for &byte in ends {
            let is_second_half = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            if !is_second_half {
                self.between_events = self.line_is_empty;
                self.line_is_empty = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(pieces: &[&[u8]]) -> bool {
        let mut boundary = Boundary::START;
        pieces.iter().for_each(|piece| boundary.advance(piece));
        boundary.is_between_events()
    }

    #[test]
    fn an_empty_line_ends_an_event() {
        for whole in [
            "",
            "data: x\n\n",
            "data: x\r\r",
            "data: x\r\n\r\n",
            "data: x\n\r\n",
            "\n",
        ] {
            assert!(after(&[whole.as_bytes()]), "{whole:?}");
        }
        for part in [
            "d",
            "data: x",
            "data: x\n",
            "data: x\r\n",
            "data: x\r",
            "data: x\n\ni",
        ] {
            assert!(!after(&[part.as_bytes()]), "{part:?}");
        }
    }

    #[test]
    fn an_empty_line_may_come_in_pieces() {
        assert!(after(&[b"data: x", b"\n", b"\n"]));
        assert!(after(&[b"data: x\r", b"\n\r", b"\n"]));
        assert!(!after(&[b"data: x\r", b"\n"]));
        assert!(!after(&[b"data: x\n", b"", b"data: y\n"]));
    }

    /// Reads byte by byte and line by line, as the standard describes it.
    fn lines_say(bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes)
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        text.is_empty() || text == "\n" || text.ends_with("\n\n")
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            pieces in prop::collection::vec(
                prop::collection::vec(prop::sample::select(b"a\n\r".to_vec()), 0..6),
                0..6,
            ),
        ) {
            let whole = pieces.concat();
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(after(&pieces), lines_say(&whole));
        }
    }
}

/// The lines and columns of a text.
///
/// To count them from the beginning for every member would take time in the square of the
/// members, and one long line is a file as good as any.
#[derive(Debug)]
pub(super) struct Places<'a> {
    text: &'a str,
    /// The beginning of every line, and places within long ones, in their order.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    byte: usize,
    line: usize,
    column: usize,
}

/// So many bytes or a few more are counted from the closest mark at most.
const STEP: usize = 256;

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut next = Mark {
            byte: 0,
            line: 1,
            column: 1,
        };
        let mut marks = vec![next];
        let mut last = 0;
        for (byte, character) in text.char_indices() {
            next.byte = byte + character.len_utf8();
            next.column += 1;
            if character == '\n' {
                (next.line, next.column) = (next.line + 1, 1);
            }
            if character == '\n' || next.byte - last >= STEP {
                last = next.byte;
                marks.push(next);
            }
        }
        Self { text, marks }
    }

    /// The line and the column, in characters, of a byte; both counted from one.
    pub(super) fn of(&self, byte: usize) -> (usize, usize) {
        let byte = self.text.floor_char_boundary(byte);
        let after = self.marks.partition_point(|mark| mark.byte <= byte);
        // The first mark is of byte 0.
        let mark = self.marks[after - 1];
        let characters = self.text[mark.byte..byte].chars().count();
        (mark.line, mark.column + characters)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn counted(text: &str, byte: usize) -> (usize, usize) {
        let before = &text[..text.floor_char_boundary(byte)];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        (line, before[start..].chars().count() + 1)
    }

    proptest! {
        #[test]
        fn places_are_those_that_are_counted(
            short in any::<String>(), long in "[a\u{e4}\n ]{0,9}[a\u{e4} ]{0,900}", byte in 0..1000_usize,
        ) {
            for text in [&short, &long] {
                let places = Places::new(text);
                prop_assert_eq!(places.of(byte), counted(text, byte));
                prop_assert_eq!(places.of(text.len()), counted(text, text.len()));
            }
        }
    }
}

use bytes::Bytes;

use crate::Envelope;

/// How much is told of the beginning and of the end of what is too large: the id of a message stands
/// near one of them, first or last.
const TOLD: usize = 512;

/// What a decoder tells of the message that was too large last.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    beginning: Bytes,
    end: Vec<u8>,
    /// It is to be reported when it has ended.
    waits: bool,
}

impl Skipped {
    /// Notes how a message begins; whether it is to be reported when it has ended, which is so if
    /// its end `matters` and its beginning does not tell whose it is.
    pub(crate) fn begin(&mut self, beginning: &[u8], matters: bool) -> bool {
        let beginning = &beginning[..beginning.len().min(TOLD)];
        // The number that it breaks off in may be longer, and an id that it is another one.
        let number = beginning.iter().rev().take_while(|it| it.is_ascii_digit());
        let beginning = &beginning[..beginning.len() - number.count()];
        self.beginning = Bytes::copy_from_slice(beginning);
        self.end.clear();
        self.waits = matters && !tells(&self.beginning);
        self.waits
    }

    /// Notes what comes next of it.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.waits {
            let piece = &piece[piece.len().saturating_sub(TOLD)..];
            let excess = (self.end.len() + piece.len()).saturating_sub(TOLD);
            self.end.drain(..excess);
            self.end.extend_from_slice(piece);
        }
    }

    /// It did not end with what was taken for its end.
    pub(crate) fn forget_end(&mut self) {
        self.end.clear();
    }

    /// Notes that it has ended; whether it is to be reported now.
    pub(crate) fn is_due(&mut self) -> bool {
        std::mem::take(&mut self.waits)
    }

    pub(crate) fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    pub(crate) fn end(&self) -> &[u8] {
        &self.end
    }
}

/// Whether this says whose message it begins.
fn tells(beginning: &[u8]) -> bool {
    match Envelope::read(beginning) {
        Ok(_) => true,
        Err(invalid) => invalid.id().is_some() || invalid.has_method(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Skipped, TOLD};

    #[test]
    fn an_id_that_breaks_off_is_not_told() {
        let mut skipped = Skipped::default();
        let message = format!("{{\"x\":\"{}\",\"id\":1234,", "x".repeat(TOLD - 16));
        let id = message.find("1234").unwrap();
        assert!((id + 1..id + 4).contains(&TOLD));
        assert!(skipped.begin(message.as_bytes(), true));
        assert!(skipped.beginning().ends_with(b"\"id\":"));
        assert!(!skipped.begin(b"{\"id\":1234,\"result\":[1", true));
    }

    #[test]
    fn no_more_is_kept_than_is_told() {
        let mut skipped = Skipped::default();
        skipped.begin(b"{\"result\":", true);
        for piece in [&b"a"[..], &[b'b'; TOLD - 1], b"c", &[b'd'; 3 * TOLD], b"e"] {
            skipped.push(piece);
            assert!(skipped.end().len() <= TOLD);
            assert!(
                skipped
                    .end()
                    .ends_with(&piece[piece.len().saturating_sub(TOLD)..])
            );
        }
        assert!(skipped.is_due() && !skipped.is_due());
    }
}

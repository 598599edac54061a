use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use super::TooLong;
use crate::{byte_order_mark::BYTE_ORDER_MARK, skipped::Skipped};

/// Reads lines from the chunks of a stream, in time linear in their length.
///
/// Push a chunk, then take lines until there are none, and so on. A line ends with `\n` or
/// `\r\n`; lines of nothing but whitespace are skipped. A line inside one chunk is a slice of it;
/// one that spans chunks is copied once. A line above the limit, its end not counted, is reported
/// as soon as that is known, its remainder is skipped without being kept, and reading goes on
/// with the next. A byte order mark at the beginning of the stream is no part of the first line.
#[derive(Debug)]
pub struct Decoder {
    /// Chunks in order, none empty: more than one only if the caller pushed ahead.
    chunks: VecDeque<Bytes>,
    /// The beginning of a line that continues in the next chunk.
    partial: BytesMut,
    /// The line is too long: nothing more of it is kept.
    skip: bool,
    /// The line that was too long last.
    skipped: Skipped,
    tells_ends: bool,
    /// Nothing has been read yet but what may be the beginning of a byte order mark.
    may_be_marked: bool,
    limit: usize,
}

impl Decoder {
    /// A decoder that accepts lines of up to `max_len` bytes.
    #[must_use]
    pub fn new(max_len: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            partial: BytesMut::new(),
            skip: false,
            skipped: Skipped::default(),
            tells_ends: false,
            may_be_marked: true,
            limit: max_len,
        }
    }

    /// Reports what is too large only when it has ended, unless its beginning tells whose message it
    /// is, so that [`skipped_end`](Self::skipped_end) can.
    #[must_use]
    pub fn telling_ends(mut self) -> Self {
        self.tells_ends = true;
        self
    }

    /// Adds what arrived next.
    ///
    /// Chunks are kept until [`Iterator::next`] has gone through them: take all lines before
    /// pushing again, so that no more than one is held.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// What follows the last line end, once the stream has ended and all lines have been taken.
    ///
    /// Programs that write one message and exit often leave the line end out.
    pub fn finish(&mut self) -> Option<Result<Bytes, TooLong>> {
        self.skip = false;
        if self.skipped.is_due() {
            return Some(Err(TooLong { limit: self.limit }));
        }
        message(self.partial.split().freeze()).map(Ok)
    }

    /// How the line began that was reported last as too long: its first half kilobyte.
    #[must_use]
    pub fn skipped(&self) -> &[u8] {
        self.skipped.beginning()
    }

    /// How it ended, for a decoder that is [`telling_ends`](Self::telling_ends): its last
    /// half kilobyte, or nothing where its beginning tells enough.
    #[must_use]
    pub fn skipped_end(&self) -> &[u8] {
        self.skipped.end()
    }

    fn begin_line(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.skip {
            self.skipped.push(piece);
            return Ok(());
        }
        self.partial.extend_from_slice(piece);
        if self.may_be_marked && self.partial.len() >= BYTE_ORDER_MARK.len() {
            self.may_be_marked = false;
            if self.partial.starts_with(BYTE_ORDER_MARK) {
                self.partial.advance(BYTE_ORDER_MARK.len());
            }
        }
        // A CR at the end may turn out to belong to the line end.
        let open = self.partial.len() - usize::from(self.partial.ends_with(b"\r"));
        if open > self.limit {
            self.skip = true;
            // Not `clear`, which would keep the memory for as long as the stream lives.
            let line = std::mem::take(&mut self.partial);
            if !self.too_long(&line) {
                return Err(TooLong { limit: self.limit });
            }
        }
        Ok(())
    }

    fn end_line(&mut self, piece: Bytes) -> Option<Result<Bytes, TooLong>> {
        let may_be_marked = std::mem::take(&mut self.may_be_marked);
        let limit = self.limit;
        if std::mem::take(&mut self.skip) {
            self.skipped.push(&piece);
            return self.skipped.is_due().then_some(Err(TooLong { limit }));
        }
        let mut line = if self.partial.is_empty() {
            piece
        } else {
            self.partial.extend_from_slice(&piece);
            self.partial.split().freeze()
        };
        if may_be_marked && line.starts_with(BYTE_ORDER_MARK) {
            line.advance(BYTE_ORDER_MARK.len());
        }
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        if line.len() > limit {
            self.too_long(&line);
            self.skipped.is_due();
            return Some(Err(TooLong { limit }));
        }
        message(line).map(Ok)
    }

    /// Notes this much of a line that is too long; whether it is to be reported at its end.
    fn too_long(&mut self, line: &[u8]) -> bool {
        let waits = self.skipped.begin(line, self.tells_ends);
        self.skipped.push(line);
        waits
    }
}

impl Iterator for Decoder {
    type Item = Result<Bytes, TooLong>;

    /// The next complete line; none until more is pushed.
    fn next(&mut self) -> Option<Self::Item> {
        while let Some(mut chunk) = self.chunks.pop_front() {
            while !chunk.is_empty() {
                let Some(end) = memchr(b'\n', &chunk) else {
                    let kept = self.begin_line(&chunk);
                    if let Err(error) = kept {
                        return Some(Err(error));
                    }
                    break;
                };
                let piece = chunk.split_to(end);
                chunk.advance(1);
                if let Some(item) = self.end_line(piece) {
                    if !chunk.is_empty() {
                        self.chunks.push_front(chunk);
                    }
                    return Some(item);
                }
            }
        }
        None
    }
}

fn message(line: Bytes) -> Option<Bytes> {
    (!line.trim_ascii_start().is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::{Just, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    };

    use super::{Bytes, Decoder, TooLong};
    use crate::lines::encode;

    fn chunked(stream: &[u8], cuts: &[usize], limit: usize) -> Vec<Result<Bytes, TooLong>> {
        let mut decoder = Decoder::new(limit);
        let mut items = Vec::new();
        let mut from = 0;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        for cut in cuts {
            decoder.push(Bytes::copy_from_slice(&stream[from..cut]));
            items.extend(decoder.by_ref());
            from = cut;
        }
        items
    }

    fn lines(stream: &[u8]) -> Vec<Bytes> {
        let items = chunked(stream, &[], 1024).into_iter();
        items.map(Result::unwrap).collect()
    }

    #[test]
    fn both_line_ends_and_no_empty_lines() {
        assert_eq!(lines(b"a\nb\r\n\n\r\n  \t\nc\rd\ne"), ["a", "b", "c\rd"]);
    }

    #[test]
    fn a_line_inside_a_chunk_is_a_slice_of_it() {
        let chunk = Bytes::from(b"{\"id\":1}\n{\"id\":2}\r\nrest".to_vec());
        let mut decoder = Decoder::new(1024);
        decoder.push(chunk.clone());
        assert_eq!(decoder.next().unwrap().unwrap().as_ptr(), chunk.as_ptr());
        assert_eq!(
            decoder.next().unwrap().unwrap().as_ptr(),
            chunk[9..].as_ptr()
        );
    }

    #[test]
    fn a_line_above_the_limit_is_skipped_and_the_next_one_read() {
        let stream = b"12345\r\n123456\n1234567890\nok\n";
        let too_long = Err(TooLong { limit: 5 });
        let expected = [
            Ok("12345".into()),
            too_long.clone(),
            too_long,
            Ok("ok".into()),
        ];
        for cut in 0..stream.len() {
            assert_eq!(chunked(stream, &[cut], 5), expected, "{cut}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line_and_of_no_other() {
        let stream = b"\xEF\xBB\xBF12345\r\n\xEF\xBB\xBF12\n";
        let second = Bytes::from_static(b"\xEF\xBB\xBF12");
        for cut in 0..stream.len() {
            let expected = [Ok("12345".into()), Ok(second.clone())];
            assert_eq!(chunked(stream, &[cut], 5), expected, "{cut}");
        }
        let mut decoder = Decoder::new(4);
        decoder.push(Bytes::from_static(b"\xEF\xBB\xBF{}"));
        assert_eq!(decoder.next(), None);
        assert_eq!(decoder.finish(), Some(Ok("{}".into())));
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut decoder = Decoder::new(1000);
        let mut errors = 0;
        for _ in 0..1000 {
            decoder.push(Bytes::from(vec![b'x'; 100]));
            errors += decoder.by_ref().filter(Result::is_err).count();
            assert!(decoder.partial.capacity() <= 2000);
        }
        assert_eq!(errors, 1, "reported once, and early");
        assert_eq!(decoder.skipped(), [b'x'; 512]);
    }

    #[test]
    fn what_is_too_long_is_told_at_its_end_if_its_beginning_does_not_tell() {
        let stream = b"{\"result\":[1,2,3,4,5],\"id\":7}\r\n{\"id\":8,\"result\":[]}\nok\n";
        for cut in 0..stream.len() {
            let mut decoder = Decoder::new(12).telling_ends();
            let mut told = Vec::new();
            for chunk in [&stream[..cut], &stream[cut..]] {
                decoder.push(Bytes::copy_from_slice(chunk));
                while let Some(line) = decoder.next() {
                    told.push(match line {
                        Ok(line) => line.to_vec(),
                        Err(_) => [decoder.skipped(), decoder.skipped_end()].concat(),
                    });
                }
            }
            let first = String::from_utf8_lossy(&told[0]).into_owned();
            assert!(first.starts_with("{\"result\":["), "{cut}: {first}");
            assert!(first.contains("5],\"id\":7"), "{cut}: {first}");
            assert!(told[1].starts_with(b"{\"id\":8,\"res"), "{cut}");
            assert_eq!(told[2..], [b"ok"], "{cut}");
        }
    }

    #[test]
    fn what_is_too_long_is_told_as_well_if_its_end_is_that_of_the_stream() {
        let mut decoder = Decoder::new(12).telling_ends();
        for chunk in [&b"{\"result\":[1,2,3"[..], b",4,5],\"id\":7}"] {
            decoder.push(Bytes::from_static(chunk));
            assert_eq!(decoder.next(), None);
        }
        assert_eq!(decoder.finish(), Some(Err(TooLong { limit: 12 })));
        assert!(decoder.skipped_end().ends_with(b"\"id\":7}"));
        assert_eq!(decoder.finish(), None);
    }

    #[test]
    fn the_last_line_may_lack_its_end() {
        let mut decoder = Decoder::new(4);
        decoder.push(Bytes::from_static(b"a\n{}"));
        assert_eq!(decoder.next(), Some(Ok("a".into())));
        assert_eq!(decoder.next(), None);
        assert_eq!(decoder.finish(), Some(Ok("{}".into())));
        assert_eq!(decoder.finish(), None);
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(message in vec(any::<u8>(), 0..40), cuts in vec(any::<usize>(), 0..6)) {
            let line = encode(Bytes::from(message.clone()));
            let expected: Vec<u8> = message
                .into_iter()
                .map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte })
                .collect();
            let items = chunked(&line, &cuts, 1024);
            if expected.trim_ascii().is_empty() {
                prop_assert!(items.is_empty());
            } else {
                prop_assert_eq!(items, vec![Ok(Bytes::from(expected))]);
            }
        }

        #[test]
        fn chunking_changes_nothing(
            stream in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x'), Just(b' ')], 0..60),
            cuts in vec(any::<usize>(), 0..12),
            limit in 0_usize..8,
        ) {
            prop_assert_eq!(chunked(&stream, &cuts, limit), chunked(&stream, &[], limit));
        }
    }
}

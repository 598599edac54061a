use std::{collections::VecDeque, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2};

use super::{Event, TooLarge};
use crate::{byte_order_mark::BYTE_ORDER_MARK, skipped::Skipped};

/// How much of a line is looked at to find out what it is.
const BEGINNING: usize = 1024;

/// Reads events from the chunks of a stream, in time linear in their length.
///
/// Push a chunk, then take events until there are none, and so on. Data of one line that lies
/// inside one chunk is a slice of that chunk; anything else is copied once. An event that is not
/// complete when the stream ends is dropped with the decoder, as the specification wants.
///
/// An event counts as large as its lines, comments excepted. One above the limit is reported as
/// soon as that is known, its remainder is skipped without being kept, and reading goes on with
/// the next.
#[derive(Debug)]
pub struct Decoder {
    /// Chunks in order, none empty: more than one only if the caller pushed ahead.
    chunks: VecDeque<Bytes>,
    /// How much of a byte order mark has been seen; `None` once the question is settled.
    mark: Option<usize>,
    /// The last line ended with a CR, so an LF that follows belongs to it.
    after_return: bool,
    /// The beginning of a line that continues in the next chunk.
    partial: BytesMut,
    /// The line is a comment, or of an event that is too large: nothing of it is kept.
    skip_line: bool,
    /// The event is too large: nothing more of it is kept.
    skip_event: bool,
    /// The data of the event that was too large last.
    skipped: Skipped,
    tells_ends: bool,
    /// The line that is skipped is the one within which the data became too large.
    ends_data: bool,
    /// The sum of the lines of the event under way.
    size: usize,
    limit: usize,
    event: Event,
    /// The data once it has several lines.
    joined: BytesMut,
    /// Whether the event under way has any field.
    begun: bool,
}

impl Decoder {
    /// A decoder that accepts events of up to `max_event_bytes`.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            mark: Some(0),
            after_return: false,
            partial: BytesMut::new(),
            skip_line: false,
            skip_event: false,
            skipped: Skipped::default(),
            tells_ends: false,
            ends_data: false,
            size: 0,
            limit: max_event_bytes,
            event: Event::default(),
            joined: BytesMut::new(),
            begun: false,
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
    /// Chunks are kept until [`Iterator::next`] has gone through them: take all events before
    /// pushing again, so that no more than one is held.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// How the data began of the event that was reported last as too large: its first half kilobyte.
    #[must_use]
    pub fn skipped(&self) -> &[u8] {
        self.skipped.beginning()
    }

    /// How that data ended, for a decoder that is [`telling_ends`](Self::telling_ends): its last
    /// half kilobyte, or nothing where its beginning tells enough.
    #[must_use]
    pub fn skipped_end(&self) -> &[u8] {
        self.skipped.end()
    }

    /// Takes the beginning of `chunk` away if it is the byte order mark of the stream.
    fn skip_mark(&mut self, chunk: &mut Bytes, seen: usize) {
        let expected = &BYTE_ORDER_MARK[seen..];
        let matching = expected
            .iter()
            .zip(chunk.iter())
            .take_while(|(a, b)| a == b)
            .count();
        if matching == expected.len() {
            chunk.advance(matching);
            self.mark = None;
        } else if matching == chunk.len() {
            chunk.clear();
            self.mark = Some(seen + matching);
        } else {
            // Not a mark after all: what looked like one in earlier chunks is text.
            self.partial.extend_from_slice(&BYTE_ORDER_MARK[..seen]);
            self.mark = None;
        }
    }

    /// Keeps `piece` as a part of a line whose end has not been seen.
    fn begin_line(&mut self, piece: &[u8]) -> Result<(), TooLarge> {
        if self.skip_line {
            if self.ends_data {
                self.skipped.push(piece);
            }
            return Ok(());
        }
        self.goes_on(piece);
        if self.skip_event || (self.partial.is_empty() && piece.starts_with(b":")) {
            self.skip_line = true;
            return Ok(());
        }
        if self.size + self.partial.len() + piece.len() > self.limit {
            self.skip_line = true;
            let mut line = std::mem::take(&mut self.partial);
            let (piece, rest) = piece.split_at(piece.len().min(BEGINNING));
            line.extend_from_slice(piece);
            let reported = self.too_large(&line);
            if self.ends_data {
                self.skipped.push(rest);
            }
            return reported.map_or(Ok(()), Err);
        }
        self.partial.extend_from_slice(piece);
        Ok(())
    }

    /// Ends a line with `piece`; the event, if that was the empty line after it.
    fn end_line(&mut self, piece: Bytes) -> Option<Result<Event, TooLarge>> {
        if self.skip_line {
            self.skip_line = false;
            if std::mem::take(&mut self.ends_data) {
                self.skipped.push(&piece);
            }
            return None;
        }
        let line = if self.partial.is_empty() {
            piece
        } else {
            self.partial.extend_from_slice(&piece);
            self.partial.split().freeze()
        };
        if line.is_empty() {
            return self.end_event();
        }
        self.goes_on(&line);
        if self.skip_event || line[0] == b':' {
            return None;
        }
        self.size += line.len();
        if self.size > self.limit {
            let reported = self.too_large(&line);
            self.ends_data = false;
            return reported.map(Err);
        }
        self.field(line);
        None
    }

    fn field(&mut self, mut line: Bytes) {
        let (name, start) = match memchr(b':', &line) {
            Some(colon) => {
                let space = usize::from(line.get(colon + 1) == Some(&b' '));
                (colon, colon + 1 + space)
            }
            None => (line.len(), line.len()),
        };
        match &line[..name] {
            b"data" => {
                line.advance(start);
                self.data(line);
            }
            b"event" => {
                line.advance(start);
                self.event.event = (!line.is_empty()).then_some(line);
            }
            b"id" if memchr(0, &line[start..]).is_none() => {
                line.advance(start);
                self.event.id = Some(line);
            }
            b"retry" => match milliseconds(&line[start..]) {
                Some(retry) => self.event.retry = Some(retry),
                None => return,
            },
            _ => return,
        }
        self.begun = true;
    }

    fn data(&mut self, line: Bytes) {
        if !self.event.has_data {
            self.event.has_data = true;
            self.event.data = line;
            return;
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&self.event.data);
        }
        self.joined.extend_from_slice(b"\n");
        self.joined.extend_from_slice(&line);
    }

    fn end_event(&mut self) -> Option<Result<Event, TooLarge>> {
        self.size = 0;
        self.skip_event = false;
        if self.skipped.is_due() {
            return Some(Err(TooLarge { limit: self.limit }));
        }
        if !self.begun {
            return None;
        }
        self.begun = false;
        if !self.joined.is_empty() {
            self.event.data = self.joined.split().freeze();
        }
        Some(Ok(std::mem::take(&mut self.event)))
    }

    /// Another line of the event begins so: data of several lines ends otherwise than one of them.
    fn goes_on(&mut self, line: &[u8]) {
        if self.skip_event && line.starts_with(b"d") {
            self.skipped.forget_end();
        }
    }

    /// Gives the event up, of which `line` came last; nothing if that is to be reported at its end.
    fn too_large(&mut self, line: &[u8]) -> Option<TooLarge> {
        let event = std::mem::take(&mut self.event);
        let last = line.strip_prefix(b"data:");
        let before = match &self.joined[..] {
            [] => &event.data[..],
            joined => joined,
        };
        let has_before = event.has_data;
        let data = if has_before {
            before
        } else {
            last.unwrap_or_default()
        };
        let waits = self.skipped.begin(data, self.tells_ends);
        self.skipped.push(last.unwrap_or(before));
        self.ends_data = last.is_some();
        self.skip_event = true;
        self.begun = false;
        // Not `clear`, which would keep the memory for as long as the stream lives.
        self.partial = BytesMut::new();
        self.joined = BytesMut::new();
        (!waits).then_some(TooLarge { limit: self.limit })
    }
}

impl Iterator for Decoder {
    type Item = Result<Event, TooLarge>;

    /// The next complete event; none until more is pushed.
    fn next(&mut self) -> Option<Self::Item> {
        while let Some(mut chunk) = self.chunks.pop_front() {
            if let Some(seen) = self.mark {
                self.skip_mark(&mut chunk, seen);
            }
            while !chunk.is_empty() {
                if std::mem::take(&mut self.after_return) && chunk[0] == b'\n' {
                    chunk.advance(1);
                    continue;
                }
                let Some(end) = memchr2(b'\r', b'\n', &chunk) else {
                    let kept = self.begin_line(&chunk);
                    if let Err(error) = kept {
                        return Some(Err(error));
                    }
                    break;
                };
                let piece = chunk.split_to(end);
                self.after_return = chunk[0] == b'\r';
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

/// Digits only, as the specification has it: no sign, no fraction.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests;

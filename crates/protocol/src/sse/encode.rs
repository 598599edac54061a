use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr2, memchr3};

use super::Event;

/// Room for the names of all fields, a retry delay and the line ends.
const FIELDS: usize = 64;

/// The bytes of one event.
///
/// Data that spans lines is written as several `data` lines, so `\r` and `\r\n` in it become
/// `\n`: in JSON they are only whitespace. A type or an id with a line break in it, or an id with
/// a NUL, cannot be written and is left out rather than let a name forge a line.
#[must_use]
pub fn encode(event: &Event) -> Bytes {
    let names = [&event.event, &event.id].into_iter().flatten();
    let names: usize = names.map(Bytes::len).sum();
    let mut out = BytesMut::with_capacity(FIELDS + event.data.len() + names);
    if let Some(name) = &event.event
        && memchr2(b'\r', b'\n', name).is_none()
    {
        field(b"event: ", name, &mut out);
    }
    if let Some(id) = &event.id
        && memchr3(b'\r', b'\n', 0, id).is_none()
    {
        field(b"id: ", id, &mut out);
    }
    if let Some(retry) = event.retry {
        field(
            b"retry: ",
            retry.as_millis().to_string().as_bytes(),
            &mut out,
        );
    }
    if event.has_data {
        lines(b"data: ", &event.data, &mut out);
    }
    out.put_u8(b'\n');
    out.freeze()
}

/// The bytes of an event that carries `data` and nothing else.
#[must_use]
pub fn message(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + FIELDS);
    lines(b"data: ", data, &mut out);
    out.put_u8(b'\n');
    out.freeze()
}

/// The bytes of a comment, which readers ignore: what keeps an idle stream open.
#[must_use]
pub fn comment(text: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + FIELDS);
    lines(b": ", text, &mut out);
    out.put_u8(b'\n');
    out.freeze()
}

/// One line for each line of `value`; one if it is empty.
fn lines(name: &[u8], mut value: &[u8], out: &mut BytesMut) {
    while let Some(end) = memchr2(b'\r', b'\n', value) {
        field(name, &value[..end], out);
        let terminator = if value[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        value = &value[end + terminator..];
    }
    field(name, value, out);
}

/// `name` ends with a space, because a reader takes one space away.
fn field(name: &[u8], value: &[u8], out: &mut BytesMut) {
    out.reserve(name.len() + value.len() + 1);
    out.put_slice(name);
    out.put_slice(value);
    out.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Event, comment, encode, message};

    #[test]
    fn writes_every_field() {
        let event = Event::message("a\nb\r\nc\rd")
            .with_event("tick")
            .with_id("7")
            .with_retry(Duration::from_millis(1500));
        let expected = "event: tick\nid: 7\nretry: 1500\ndata: a\ndata: b\ndata: c\ndata: d\n\n";
        assert_eq!(encode(&event), expected);
        assert_eq!(message(b"{}"), "data: {}\n\n");
        assert_eq!(message(b""), "data: \n\n");
        assert_eq!(comment(b"keep-alive"), ": keep-alive\n\n");
        assert_eq!(comment(b"a\ndata: b"), ": a\n: data: b\n\n");
    }

    #[test]
    fn names_cannot_forge_a_line() {
        let event = Event::message("x")
            .with_event("a\ndata: y")
            .with_id("1\rid: 2");
        assert_eq!(encode(&event), "data: x\n\n");
        assert_eq!(encode(&Event::message("x").with_id("\0")), "data: x\n\n");
    }
}

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr2, memchr2_iter};

/// `message` as one line with its end.
///
/// Line breaks inside become spaces. In valid JSON they can only be whitespace, since strings
/// must escape them, so the message means the same and nothing in it can begin a second one.
/// Memory that nobody else holds is used again.
#[must_use]
pub fn encode(message: Bytes) -> Bytes {
    let mut line = message.try_into_mut().unwrap_or_else(|shared| {
        let mut line = BytesMut::with_capacity(shared.len() + 1);
        line.put_slice(&shared);
        line
    });
    if memchr2(b'\r', b'\n', &line).is_some() {
        let breaks: Vec<usize> = memchr2_iter(b'\r', b'\n', &line).collect();
        for at in breaks {
            line[at] = b' ';
        }
    }
    line.put_u8(b'\n');
    line.freeze()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::encode;

    #[test]
    fn a_line_has_one_line_break() {
        assert_eq!(encode(Bytes::from_static(b"{}")), "{}\n");
        assert_eq!(
            encode(Bytes::from_static(b"{\r\n\"a\":\r1}\n")),
            "{  \"a\": 1} \n"
        );
        assert_eq!(encode(Bytes::from(b"[\n]".to_vec())), "[ ]\n");
    }

    #[test]
    fn the_caller_s_message_is_not_changed() {
        let message = Bytes::from(b"[\n]".to_vec());
        let kept = message.clone();
        assert_eq!(encode(message), "[ ]\n");
        assert_eq!(kept, "[\n]");
    }
}

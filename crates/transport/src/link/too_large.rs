use bartizan_protocol::{
    Envelope, Id,
    error::{self, ErrorMessage},
};
use bytes::Bytes;

/// What stands in for a message above `limit` bytes that begins and ends so: the answer, as an error,
/// to whoever waits for it. None if it is no answer.
pub(crate) fn too_large(beginning: &[u8], end: &[u8], limit: usize) -> Option<Bytes> {
    tracing::warn!(limit, "skipped a message of the server that is too large");
    // It cannot be read, as it has no end.
    let (id, has_method) = match Envelope::read(beginning) {
        Ok(_) => return None,
        Err(error) => (error.id().map(Box::<str>::from), error.has_method()),
    };
    let at = |name: &[u8]| beginning.windows(name.len()).position(|it| it == name);
    let result = at(b"\"result\"").or_else(|| at(b"\"error\""));
    let params = at(b"\"params\"");
    let asks = has_method || params.is_some_and(|params| result.is_none_or(|it| params < it));
    let id = id.or_else(|| Some(id_at_end(end)?.as_raw().into()));
    if asks || id.is_none() && result.is_none() {
        return None;
    }
    let refusal = ErrorMessage {
        // Without one, it goes to the only request under way.
        id: id.as_deref(),
        code: error::TOO_LARGE,
        message: &format!("the answer is larger than {limit} bytes"),
        data: None,
    };
    Some(refusal.to_bytes())
}

/// The id of a message that ends so, if it comes last or before `jsonrpc`, as with servers that write
/// what they have to say first.
///
/// Read backwards, so that what came before does not matter: behind the last brace but one there
/// is no other object, and within a string each quote has a backslash before it.
fn id_at_end(end: &[u8]) -> Option<Id<'_>> {
    let mut rest = end.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    loop {
        let (before, value) = string_at_end(rest).or_else(|| number_at_end(rest))?;
        let before = before.trim_ascii_end().strip_suffix(b":")?;
        let (before, name) = string_at_end(before.trim_ascii_end())?;
        rest = before.trim_ascii_end().strip_suffix(b",")?.trim_ascii_end();
        match name {
            br#""id""# => return Id::new(std::str::from_utf8(value).ok()?),
            br#""jsonrpc""# => {}
            _ => return None,
        }
    }
}

/// What comes before a string without escapes, and the string.
fn string_at_end(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let content = text.strip_suffix(b"\"")?;
    let start = content
        .iter()
        .rposition(|byte| matches!(byte, b'"' | b'\\'))?;
    let is_whole = content[start] == b'"' && !content[..start].ends_with(b"\\");
    is_whole.then(|| text.split_at(start))
}

fn number_at_end(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let start = text.iter().rposition(|byte| !is_part(byte))? + 1;
    Some(text.split_at(start))
}

#[cfg(test)]
mod tests {
    use super::{id_at_end, too_large};

    #[test]
    fn an_id_may_come_last() {
        let id = |end: &str| id_at_end(end.as_bytes()).map(|id| id.as_raw().to_owned());
        for (end, expected) in [
            (r#"x"}]},"id":7}"#, Some("7")),
            (r#"}, "id" : "a" , "jsonrpc": "2.0" } "#, Some(r#""a""#)),
            (r#"},"jsonrpc":"2.0","id":-1.5}"#, Some("-1.5")),
            // Of something within it, or cut off.
            (r#"x","id":7}}"#, None),
            (r#"\"x\",\"id\":7}"#, None),
            (r#"\"x\",\"id\":\"7"}"#, None),
            (r#","id":7}]"#, None),
            (r#"d":7}"#, None),
            (r#""id":7}"#, None),
            (r#","id":null}"#, None),
            (r#","id":"\u0061"}"#, None),
            (r#","id":1-2}"#, None),
            (r#"},"id":7,"method":"x"}"#, None),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(id(end).as_deref(), expected, "{end}");
        }
    }

    #[test]
    fn only_an_answer_is_answered() {
        let text = |beginning: &str| {
            let refusal = too_large(beginning.as_bytes(), b"x],\"id\":7}", 9)?;
            Some(String::from_utf8(refusal.into()).unwrap())
        };
        let refused = |id: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":41301,"message":"the answer is larger than 9 bytes"}}}}"#
            )
        };
        assert_eq!(
            text(r#"{"jsonrpc":"2.0","id":"a","result":{"x"#),
            Some(refused(r#""a""#))
        );
        assert_eq!(text(r#"{"id":1,"result":{"params":"x"#), Some(refused("1")));
        assert_eq!(text(r#"{"result":{"x"#), Some(refused("7")));
        assert_eq!(text(r#"{"error":{"x"#), Some(refused("7")));
        let unknown = too_large(br#"{"result":{"x"#, b"", 9).unwrap();
        assert_eq!(unknown, refused("null"));
        assert_eq!(text(r#"{"jsonrpc":"2.0","id":1,"method":"x","pa"#), None);
        assert_eq!(text(r#"{"method":"notifications/x","params":{"#), None);
        assert_eq!(text(r#"{"jsonrpc":"2.0","params":{"result":1,"x"#), None);
        assert_eq!(too_large(b"xxxx", b"", 9), None);
    }
}

use bartizan_protocol::{
    Envelope,
    error::{self, ErrorMessage},
};
use bytes::Bytes;

/// What stands in for a message above `limit` bytes that begins so: the answer, as an error, to
/// whoever waits for it. None if it is no answer.
pub(crate) fn too_large(beginning: &[u8], limit: usize) -> Option<Bytes> {
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

#[cfg(test)]
mod tests {
    use super::too_large;

    #[test]
    fn only_an_answer_is_answered() {
        let text = |beginning: &str| {
            let refusal = too_large(beginning.as_bytes(), 9)?;
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
        assert_eq!(text(r#"{"result":{"x"#), Some(refused("null")));
        assert_eq!(text(r#"{"error":{"x"#), Some(refused("null")));
        assert_eq!(text(r#"{"jsonrpc":"2.0","id":1,"method":"x","pa"#), None);
        assert_eq!(text(r#"{"method":"notifications/x","params":{"#), None);
        assert_eq!(text(r#"{"jsonrpc":"2.0","params":{"result":1,"x"#), None);
        assert_eq!(text("xxxx"), None);
    }
}

use bytes::Bytes;

use crate::edit;

/// An error answer, made from scratch.
///
/// `id` and `data` are raw JSON and are written as they are; what is not JSON makes a message
/// that is none, so take them from [`Envelope`](crate::Envelope) or build them with
/// [`edit::string`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorMessage<'a> {
    /// The raw id of the request; `null` is written where there is none.
    pub id: Option<&'a str>,
    /// The code.
    pub code: i64,
    /// One sentence that a person or a model can act on. Never a secret.
    pub message: &'a str,
    /// Raw JSON for programs.
    pub data: Option<&'a str>,
}

impl ErrorMessage<'_> {
    /// The JSON of the message.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let message = edit::string(self.message);
        let code = self.code.to_string();
        join(&[
            "{\"jsonrpc\":\"2.0\",\"id\":",
            self.id.unwrap_or("null"),
            ",\"error\":{\"code\":",
            &code,
            ",\"message\":",
            &message,
            if self.data.is_some() {
                ",\"data\":"
            } else {
                ""
            },
            self.data.unwrap_or(""),
            "}}",
        ])
    }
}

/// A response with a raw id and a raw result.
#[must_use]
pub fn response(id: &str, result: &str) -> Bytes {
    join(&[
        "{\"jsonrpc\":\"2.0\",\"id\":",
        id,
        ",\"result\":",
        result,
        "}",
    ])
}

/// A request with a raw id and raw parameters.
#[must_use]
pub fn request(id: &str, method: &str, params: Option<&str>) -> Bytes {
    let method = edit::string(method);
    join(&[
        "{\"jsonrpc\":\"2.0\",\"id\":",
        id,
        ",\"method\":",
        &method,
        if params.is_some() { ",\"params\":" } else { "" },
        params.unwrap_or(""),
        "}",
    ])
}

/// A notification with raw parameters.
#[must_use]
pub fn notification(method: &str, params: Option<&str>) -> Bytes {
    let method = edit::string(method);
    join(&[
        "{\"jsonrpc\":\"2.0\",\"method\":",
        &method,
        if params.is_some() { ",\"params\":" } else { "" },
        params.unwrap_or(""),
        "}",
    ])
}

fn join(parts: &[&str]) -> Bytes {
    parts.concat().into()
}

#[cfg(test)]
mod tests {
    use crate::{Envelope, Kind};

    use super::*;

    #[test]
    fn what_is_made_is_read() {
        let error = ErrorMessage {
            id: None,
            code: -32700,
            message: "a \"quote\"\n",
            data: None,
        };
        let bytes = error.to_bytes();
        let envelope = Envelope::read(&bytes).unwrap();
        assert_eq!(envelope.kind(), Kind::Error);
        assert_eq!(envelope.error_code(), Some(-32700));
        assert!(envelope.id().is_none());

        let bytes = ErrorMessage {
            id: Some("\"a\""),
            data: Some("[1]"),
            ..error
        }
        .to_bytes();
        let envelope = Envelope::read(&bytes).unwrap();
        assert_eq!(envelope.id().unwrap().as_raw(), "\"a\"");
        assert_eq!(edit::get(&bytes, &["error", "data"]), Some("[1]"));

        let bytes = response("1", "{\"a\":1.10}");
        let envelope = Envelope::read(&bytes).unwrap();
        assert_eq!(envelope.result(), Some("{\"a\":1.10}"));

        for params in [None, Some("{}")] {
            let bytes = request("7", "x/y", params);
            let envelope = Envelope::read(&bytes).unwrap();
            assert_eq!(envelope.kind(), Kind::Request);
            assert_eq!(envelope.params(), params);
            let bytes = notification("x/y", params);
            let envelope = Envelope::read(&bytes).unwrap();
            assert_eq!(envelope.kind(), Kind::Notification);
            assert_eq!(envelope.method(), Some("x/y"));
        }
    }
}

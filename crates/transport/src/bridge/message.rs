//! Messages that the bridge writes itself.

use bartizan_protocol::edit;
use bytes::Bytes;

/// A request; all but `method` are raw JSON.
pub(super) fn request(id: &str, method: &str, params: Option<&str>) -> Bytes {
    let method = edit::string(method);
    Bytes::from(match params {
        Some(params) => {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#)
        }
        None => format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method}}}"#),
    })
}

/// A response; both are raw JSON.
pub(super) fn response(id: &str, result: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
    ))
}

/// An error; `id` and `data` are raw JSON.
pub(super) fn error(id: &str, code: i64, message: &str, data: Option<&str>) -> Bytes {
    let message = edit::string(message);
    Bytes::from(match data {
        Some(data) => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message},"data":{data}}}}}"#
        ),
        None => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#
        ),
    })
}

//! What doors ask of a service that speak no MCP themselves.

use std::borrow::Cow;

use bartizan_protocol::{Envelope, edit, error::BAD_ANSWER};
use bytes::Bytes;

use super::{Door, Refusal, ask, pages, pages::ListError};

/// What a service said to a request.
#[derive(Debug)]
pub(crate) enum Said {
    /// Its result, as it was written.
    Result(Bytes),
    /// Its error.
    Error(RpcError),
}

/// An error of JSON-RPC.
#[derive(Debug)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    /// JSON.
    pub(crate) data: Option<String>,
}

impl RpcError {
    /// The error in a message that has one.
    pub(crate) fn read(message: &[u8]) -> Self {
        let code = Envelope::read(message).ok().and_then(|it| it.error_code());
        let text = edit::get(message, &["error", "message"]).and_then(edit::text);
        Self {
            code: code.unwrap_or(BAD_ANSWER),
            message: text.map_or_else(|| "no result".to_owned(), Cow::into_owned),
            data: edit::get(message, &["error", "data"]).map(str::to_owned),
        }
    }
}

/// Sends one request to the service of `door`.
///
/// # Errors
///
/// When it did not answer.
///
/// # Cancellation
///
/// Dropping the future tells the service, in the way of its era.
pub(crate) async fn request(door: &Door, method: &str, params: &str) -> Result<Said, Refusal> {
    let response = ask::direct(door, method, params).await?;
    let result = Envelope::read(&response).ok().and_then(|it| it.result());
    Ok(match result {
        Some(result) => Said::Result(response.slice_ref(result.as_bytes())),
        None => Said::Error(RpcError::read(&response)),
    })
}

/// Every item of a list of the service of `door`, in its own words.
///
/// # Errors
///
/// When it gave none.
pub(crate) async fn list(door: &Door, method: &str) -> Result<Vec<Bytes>, ListError> {
    pages::all(door, None, method).await
}

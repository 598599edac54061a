use std::{borrow::Cow, sync::Arc};

use bartizan_protocol::{Envelope, edit, error, method};
use bartizan_transport::bridge::{ClientMeta, request_to_modern};
use bytes::{Bytes, BytesMut};

use super::{
    Door,
    ask::{self, CALL_ID, Client, ModernClient, Request},
    direct::RpcError,
    upstream::Introduction,
};

/// What became of a tool's call that came in by another door than MCP's.
#[derive(Debug)]
pub(crate) enum Called {
    /// The result, as JSON.
    Result(Bytes),
    /// The tool ran, and says that it failed: its result, as JSON, and in words.
    Failed(Bytes, String),
    /// There is no result.
    Refused(Refused),
}

/// Why there is no result of a tool's call.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What it is, as JSON-RPC says it.
    pub(crate) code: i64,
    /// The same in words.
    pub(crate) message: String,
    /// Whole seconds after which it may be worth asking again.
    pub(crate) retry_after: Option<u64>,
}

impl Called {
    fn refused(code: i64, message: impl Into<String>) -> Self {
        Self::Refused(Refused {
            code,
            message: message.into(),
            retry_after: None,
        })
    }
}

/// Calls a tool for a caller who can neither be asked back nor hear of progress.
pub(crate) async fn call(door: &Door, tool: &str, arguments: &str) -> Called {
    let params = format!(
        r#"{{"name":{},"arguments":{arguments}}}"#,
        edit::string(tool)
    );
    let introduction = Introduction::of_gateway();
    let meta = ClientMeta {
        capabilities: &introduction.capabilities,
        info: Some(&introduction.info),
        log_level: None,
    };
    let body = error::request(CALL_ID, method::TOOLS_CALL, Some(&params));
    let body = match request_to_modern(&body, &meta) {
        Ok(body) => body,
        Err(error) => {
            return Called::refused(error::INVALID_PARAMS, format!("parameters: {error}"));
        }
    };
    let request = Request::new(body, CALL_ID, method::TOOLS_CALL);
    let client = nobody();
    match door.in_time(ask::alone(door, &client, &request)).await {
        Ok(response) => read(&response),
        Err(refusal) => Called::refused(refusal.code(), refusal.message()),
    }
}

/// What the service can do, in the form of the definitions of REST services: its tools are the
/// operations.
///
/// # Errors
///
/// A text that says what the service did instead.
pub(crate) async fn definition(door: &Door) -> Result<Bytes, String> {
    let tools = super::pages::all(door, Some(&nobody()), method::TOOLS_LIST).await;
    let tools = tools.map_err(|error| error.to_string())?;
    let mut definition = BytesMut::new();
    let name = edit::string(door.service.name());
    let start = format!(r#"{{"name":{name},"protocol":"mcp","operations":["#);
    definition.extend_from_slice(start.as_bytes());
    for (index, tool) in tools.iter().enumerate() {
        if index > 0 {
            definition.extend_from_slice(b",");
        }
        definition.extend_from_slice(tool);
    }
    definition.extend_from_slice(b"]}");
    Ok(definition.freeze())
}

/// A client that can do nothing but call.
pub(super) fn nobody() -> Client {
    Client::Modern(Arc::new(ModernClient::of(Introduction::of_gateway())))
}

fn read(response: &Bytes) -> Called {
    let Ok(envelope) = Envelope::read(response) else {
        return Called::refused(error::BAD_ANSWER, "the answer cannot be read");
    };
    let Some(result) = envelope.result() else {
        let wait = edit::get(response, &["error", "data", "retryAfter"]);
        let RpcError { code, message, .. } = RpcError::read(response);
        return Called::Refused(Refused {
            code,
            message,
            retry_after: wait.and_then(|seconds| seconds.parse().ok()),
        });
    };
    let bytes = response.slice_ref(result.as_bytes());
    if edit::get(result.as_bytes(), &["isError"]) == Some("true") {
        let text = edit::get(result.as_bytes(), &["content", "0", "text"]).and_then(edit::text);
        let text = text.map_or_else(|| "the tool failed".to_owned(), Cow::into_owned);
        return Called::Failed(bytes, text);
    }
    Called::Result(bytes)
}

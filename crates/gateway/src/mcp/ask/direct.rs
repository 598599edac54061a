//! Requests of callers who speak no MCP: they want the upstream's own words.

use bartizan_protocol::{Envelope, edit, error, method::TOOLS_LIST};
use bartizan_transport::bridge::{ClientMeta, ResultKind, request_to_modern};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{
    ModernClient, Request,
    from_modern::answer_locally,
    legacy_upstream::{self, Call, Heard},
    modern_upstream,
    turn::Turn,
    untranslatable,
};
use crate::mcp::{Door, Refusal, probe, talk::Outgoing, tools, upstream::Introduction};

/// The id of a call of somebody who speaks no MCP.
pub(in crate::mcp) const CALL_ID: &str = "\"bartizan-call\"";

/// Sends a request in the words of whichever era the service of `door` speaks, and gives the
/// response as it came, a result or an error. Nobody hears what comes before it, and questions
/// are refused.
///
/// Boxed: to send some calls the gateway asks for lists itself, so this future may hold one of
/// its own kind.
///
/// # Errors
///
/// When no response came.
///
/// # Cancellation
///
/// Dropping the future tells the upstream, in the way of its era.
pub(in crate::mcp) fn direct(
    door: &Door,
    method: &str,
    params: &str,
) -> BoxFuture<'static, Result<Bytes, Refusal>> {
    let request = Request::new(
        error::request(CALL_ID, method, Some(params)),
        CALL_ID,
        method,
    );
    let door = door.clone();
    Box::pin(async move {
        let answer = async {
            let nobody = ModernClient::of(Introduction::of_gateway());
            if probe::speaks_modern(&door).await? {
                to_modern(&door, &nobody, &request).await
            } else {
                to_legacy(&door, &nobody, &request).await
            }
        };
        door.in_time(answer).await?
    })
}

async fn to_modern(
    door: &Door,
    nobody: &ModernClient,
    request: &Request,
) -> Result<Bytes, Refusal> {
    let meta = ClientMeta {
        capabilities: &nobody.introduction.capabilities,
        info: Some(&nobody.introduction.info),
        log_level: None,
    };
    let body = request_to_modern(&request.body, &meta);
    let body = body.map_err(|error| untranslatable(door, &error))?;
    let out = Outgoing::nowhere();
    let response = modern_upstream::exchange(door, body, request, &out).await?;
    if ResultKind::read(&response) == ResultKind::InputRequired {
        let text = format!(
            "{} asks for input first, which only a client of MCP can give",
            door.service.name()
        );
        return Err(Refusal::answer(error::NOT_BRIDGED, text));
    }
    Ok(response)
}

async fn to_legacy(
    door: &Door,
    nobody: &ModernClient,
    request: &Request,
) -> Result<Bytes, Refusal> {
    let session = legacy_upstream::pooled(door, nobody)?;
    let mut call = Call::begin(
        door,
        &session,
        request.body.clone(),
        Turn::default(),
        &request.given_up,
    )
    .await?;
    loop {
        match call.hear(request).await? {
            Heard::Message(_) => {}
            Heard::Request(asked) => {
                let id = edit::get(&asked, &["id"]).unwrap_or("null").to_owned();
                call.answer(answer_locally(&id, &asked)).await?;
            }
            Heard::Response(response) => {
                if &*request.method == TOOLS_LIST && is_result(&response) {
                    tools::learn(door, &response);
                }
                return Ok(response);
            }
        }
    }
}

fn is_result(response: &[u8]) -> bool {
    Envelope::read(response).is_ok_and(|it| it.result().is_some())
}

use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_protocol::{
    Edit, Envelope, Kind, Version,
    error::HEADER_MISMATCH,
    headers::{self, MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION},
    method::TOOLS_LIST,
};
use bartizan_transport::bridge::{self, Route};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
};

use super::{Request, broken_off, untranslatable};
use crate::mcp::{
    Door, Message, Refusal, lost, probe, raw::EITHER, refusal::JSON, talk::Outgoing, tools,
};

/// The headers of a message of 2026-07-28, which mirror what it says.
pub(in crate::mcp) fn mirror(envelope: &Envelope<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let version = HeaderValue::from_static(Version::LATEST.as_str());
    let mut own = Vec::with_capacity(8);
    own.extend([
        (CONTENT_TYPE, JSON),
        (ACCEPT, EITHER),
        (MCP_PROTOCOL_VERSION, version),
    ]);
    if let Some(method) = envelope.method() {
        own.push((MCP_METHOD, headers::encode(method)));
    }
    if let Some(subject) = envelope.subject() {
        own.push((MCP_NAME, headers::encode(&subject)));
    }
    own
}

/// An id that no other request of the gateway has.
pub(in crate::mcp) fn fresh_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("\"bartizan-{}\"", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Sends a request of 2026-07-28 and gives the response, whatever its kind. Messages before it
/// go to `out` if a client of the other era would be glad of them.
pub(super) async fn exchange(
    door: &Door,
    body: Bytes,
    original: &Request,
    out: &Outgoing,
) -> Result<Bytes, Refusal> {
    let envelope = Envelope::read(&body).map_err(|error| untranslatable(door, &error))?;
    door.learn(&envelope).await;
    let params = door.params(&envelope).await;
    let answer = once(door, &body, &envelope, params.clone(), original, out).await?;
    let answer = if mismatches(&answer)
        && let Some(mcp) = door.service.mcp()
    {
        // The tool's schema is another now: asked for again, and the call repeated, for the
        // upstream did nothing with it.
        mcp.tools().doubt(door.shared.clock().now());
        match door.params(&envelope).await {
            renewed if renewed == params => answer,
            renewed => once(door, &body, &envelope, renewed, original, out).await?,
        }
    } else {
        answer
    };
    if envelope.method() == Some(TOOLS_LIST) {
        return Ok(tools::listed(door, answer));
    }
    Ok(answer)
}

fn mismatches(answer: &[u8]) -> bool {
    let code = Envelope::read(answer).ok().and_then(|it| it.error_code());
    code == Some(HEADER_MISMATCH)
}

async fn once(
    door: &Door,
    body: &Bytes,
    envelope: &Envelope<'_>,
    params: Vec<(HeaderName, HeaderValue)>,
    original: &Request,
    out: &Outgoing,
) -> Result<Bytes, Refusal> {
    let mut headers = mirror(envelope);
    headers.extend(params);
    let message = Message {
        method: Method::POST,
        class: door.class(envelope),
        body: body.clone(),
        headers,
        instance: door.instance().cloned(),
        is_clients: true,
        is_request: true,
    };
    let response = lost::look(door, door.send(message).await?).await?;
    probe::doubt_newer(door, &response);
    lost::check(door, &response)?;
    let mut exchange = door.exchange(response);
    loop {
        let message = match exchange.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(broken_off(door, Some(error))),
            None => return Err(broken_off(door, None)),
        };
        let heard = Envelope::read(&message).map_err(|error| untranslatable(door, &error))?;
        match heard.kind() {
            Kind::Response | Kind::Error => {
                // The client asked under an id of its own.
                if heard.raw_id() == Some(&*original.id) {
                    return Ok(message);
                }
                let mut edit = Edit::new(&message);
                edit.set(&["id"], &original.id);
                return edit.finish().map_err(|error| untranslatable(door, &error));
            }
            Kind::Notification => {
                door.heard(&heard);
                let route = bridge::server_notification(heard.method().unwrap_or_default());
                if route == Route::Exchange {
                    out.say(message).await;
                }
            }
            // No server of this era sends any.
            Kind::Request => {}
        }
    }
}

/// The result of `server/discover`, as JSON.
pub(in crate::mcp) async fn discover(door: &Door) -> Result<String, Refusal> {
    let response = lost::look(door, door.send(probe::discover()).await?).await?;
    probe::doubt_newer(door, &response);
    lost::check(door, &response)?;
    let answer = door.final_message(response).await;
    let result = answer
        .as_deref()
        .and_then(|answer| Envelope::read(answer).ok()?.result());
    result
        .map(str::to_owned)
        .ok_or_else(|| broken_off(door, None))
}

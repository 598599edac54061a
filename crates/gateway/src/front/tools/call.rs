//! `POST /tools/{namespace.tool}`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
};
use bartizan_clock::Instant;
use bartizan_rate_limit::Priority;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::answer;
use crate::{
    error::Error,
    front::{
        detail::{self, Detail, Faults},
        docs::tag,
    },
    ids,
    mcp::{self, Door, tool},
    service::{Form, Outbound, Parts, Service},
    shared::Shared,
};

/// Call a tool
///
/// The body is the tool's arguments, as they are; the answer is what the tool answered. A plain
/// service is sent `POST` with both, as by `/mcp/request`.
#[utoipa::path(
    post,
    path = "/tools/{tool}",
    tag = tag::TOOLS,
    operation_id = "call_tool",
    params(
        (
            "tool" = String,
            Path,
            description = "The namespace, which is a service, a dot, and the tool's name there.",
            example = "inventory.getItem",
        ),
        ("Idempotency-Key" = Option<String>, Header, nullable = false,
            description = "Says that the call may be repeated."),
    ),
    request_body(
        content = Option<Object>,
        description = "The arguments; none without a body.",
        content_type = "application/json",
        example = json!({ "sku": "lamp" }),
    ),
    responses(
        (
            status = 200,
            description = "What the tool answered.",
            body = Value,
            example = json!({ "sku": "lamp", "name": "Desk lamp" }),
        ),
        (status = 400, description = "The tool's answer is not JSON, or it finds the arguments wrong.", body = Detail),
        (status = 404, description = "There is no such tool.", body = Detail, example = json!({
            "detail": "Tool not found: inventory.getItem",
        })),
        (status = 422, description = "The body is no JSON object.", body = Faults),
        (
            status = 500,
            description = "The tool failed.",
            body = Detail,
            example = json!({ "detail": "Backend error: 500 out of paper" }),
        ),
        (
            status = 503,
            description = "No instance can be called now.",
            body = Detail,
            headers(("Retry-After" = u64, description = "Seconds, where that is known.")),
            example = json!({ "detail": "Backend server unhealthy: inventory" }),
        ),
        (status = 504, description = "The tool took too long.", body = Detail),
        (
            status = "default",
            description = "Another refusal: what the backend said, 408, 413, 429 or 502.",
            body = Detail,
        ),
    ),
)]
pub(super) async fn call(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let received = shared.clock().now();
    let (head, body) = request.into_parts();
    let body = match shared.collect(body).await {
        Ok(body) => body,
        Err(error) => return detail::error(&error),
    };
    let arguments = match arguments(&body) {
        Ok(arguments) => arguments,
        Err(fault) => return detail::invalid(vec![fault]),
    };
    let Some((service, tool)) = find(&shared, &name) else {
        return not_found(&name);
    };
    if service.mcp().is_some() {
        // As at the doors of MCP: what runs on this machine is not every page's to call.
        if shared.is_stranger(&head.headers, head.uri.authority()) {
            return detail::error(&Error::ForeignPage);
        }
        let door = Door::new(
            &shared,
            service,
            shared.caller(&head.headers),
            &head.headers,
        );
        return over_mcp(door, &name, tool, &arguments).await;
    }
    if service.listing().is_some_and(|listing| listing.lacks(tool)) {
        return not_found(&name);
    }
    let Ok(path) = service.path(tool) else {
        return not_found(&name);
    };
    let outbound = outbound(service, tool, path, arguments, &head.headers, received);
    let result = service.call(outbound).await;
    tracing::debug!(
        service = &**service.name(),
        tool,
        request_id = ids::text(&head.headers),
        is_answered = result.is_ok(),
        "tool called"
    );
    match result {
        Ok(response) => answer::answered(&response, shared.clock().wall()),
        Err(failure) => answer::failed(service, &failure),
    }
}

/// The service and its tool that `name` means: what is before the first dot, unless the names of
/// services have dots. Then the longest is meant, or another service could take calls that are for
/// one with a longer name; among those that an operator listed, if one of them is, for whoever
/// registers comes later and may have chosen its name to take calls of theirs.
pub(super) fn find<'a, 'n>(
    shared: &'a Shared,
    name: &'n str,
) -> Option<(&'a Arc<Service>, &'n str)> {
    let dots = name.rmatch_indices('.').map(|(at, _)| at);
    let mut meant = dots.filter_map(|at| {
        let (namespace, tool) = (&name[..at], &name[at + 1..]);
        let service = shared.catalog().service(namespace)?;
        (!tool.is_empty()).then_some((service, tool))
    });
    let longest = meant.next()?;
    if !longest.0.is_in_memory() {
        return Some(longest);
    }
    meant
        .find(|(service, _)| !service.is_in_memory())
        .or(Some(longest))
}

fn not_found(name: &str) -> Response<Body> {
    detail::refuse(StatusCode::NOT_FOUND, format!("Tool not found: {name}"))
}

/// The arguments as the caller wrote them; none where there is no body.
fn arguments(body: &Bytes) -> Result<Bytes, detail::Fault> {
    if matches!(body.trim_ascii(), b"" | b"null") {
        return Ok(Bytes::from_static(b"{}"));
    }
    detail::object(body).map(|_| body.clone())
}

fn outbound(
    service: &Service,
    tool: &str,
    path: http::uri::PathAndQuery,
    body: Bytes,
    headers: &HeaderMap,
    received: Instant,
) -> Outbound {
    let trace = ids::trace(headers);
    let request_id = ids::header(headers);
    let idempotency_key = ids::idempotency_key(headers);
    let correlation_id = ids::correlation(headers).cloned();
    let parts = Parts {
        method: Method::POST,
        path,
        body,
        class: service.class(tool, idempotency_key.is_some()),
        priority: Priority::Normal,
        deadline: received + service.timeout(),
        correlation_id: correlation_id.unwrap_or_else(|| request_id.clone()),
        request_id,
        agent_id: None,
        session: None,
        idempotency_key,
        trace,
        form: Form::Operation,
    };
    Outbound::avoiding(parts, service.without(tool))
}

/// A tool of a service that speaks MCP: the body is its arguments.
async fn over_mcp(door: Door, name: &str, tool: &str, arguments: &[u8]) -> Response<Body> {
    // Where its tools cannot be had, the service says whether it has this one.
    if mcp::all::offers(door.clone(), tool).await == Some(false) {
        return not_found(name);
    }
    let arguments = str::from_utf8(arguments).unwrap_or("{}");
    let service = Arc::clone(door.service.name());
    answer::called(&service, tool::call(&door, tool, arguments).await)
}

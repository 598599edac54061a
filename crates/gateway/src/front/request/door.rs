//! `POST /mcp/request`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{Request, Response},
};

use super::{
    invoke::{answer, refuse},
    schema,
};
use crate::{front::docs::tag, shared::Shared};

/// Call an operation of a service
///
/// The gateway sends `POST {endpoint}/api/{operation}` with the parameters as the body, repeats
/// what may be repeated, and puts the answer into an envelope. (`/api/` is the usual prefix; a
/// service can have another.) A service that speaks MCP has its tools as operations.
///
/// Unless the gateway runs with `MCP_GATEWAY_STRICT_STATUS=true`, a backend's failure is an
/// answer of status 200 with `"success": false`, and what the gateway refuses one of status 500.
#[utoipa::path(
    post,
    path = "/mcp/request",
    tag = tag::SERVICES,
    request_body(
        content = schema::Call,
        examples(
            ("inventory" = (
                summary = "An item of the inventory",
                value = json!({
                    "service": "inventory",
                    "operation": "getItem",
                    "parameters": { "sku": "lamp" },
                }),
            )),
            ("weather" = (
                summary = "A forecast, by a service that fails now and then",
                value = json!({
                    "id": "request-123",
                    "service": "weather",
                    "operation": "getForecast",
                    "parameters": { "city": "Oslo" },
                    "metadata": { "correlationId": "corr-123", "timeout": 5000 },
                }),
            )),
            ("payments" = (
                summary = "A charge, which is never made twice",
                value = json!({
                    "service": "payments",
                    "operation": "charge",
                    "parameters": { "amount": 12.5 },
                    "metadata": { "idempotencyKey": "order-77" },
                }),
            )),
        ),
    ),
    params(
        ("Idempotency-Key" = Option<String>, Header, nullable = false,
            description = "Says that the call may be repeated, as `metadata.idempotencyKey` does."),
        ("X-Correlation-ID" = Option<String>, Header, nullable = false,
            description = "Stands in for `metadata.correlationId`."),
    ),
    responses(
        (status = 200, description = "What came of the call.", body = schema::Outcome, examples(
            ("success" = (
                summary = "The backend answered",
                value = json!({
                    "id": "response_1795238658926",
                    "requestId": "request-123",
                    "timestamp": "2026-11-21T05:24:18.926Z",
                    "success": true,
                    "data": { "sku": "lamp", "name": "Desk lamp" },
                    "metadata": {
                        "processingTime": 3,
                        "serviceEndpoint": "http://localhost:8081",
                        "retryCount": 0,
                        "cacheHit": false,
                    },
                }),
            )),
            ("failure" = (
                summary = "The backend failed",
                value = json!({
                    "id": "response_1795238659120",
                    "timestamp": "2026-11-21T05:24:19.120Z",
                    "success": false,
                    "error": {
                        "code": "MCP_ERROR",
                        "message": "Request failed with status code 404",
                        "details": {
                            "status": 404,
                            "statusText": "Not Found",
                            "data": { "error": "no such item" },
                        },
                        "timestamp": "2026-11-21T05:24:19.120Z",
                        "correlationId": "corr-123",
                    },
                    "metadata": {
                        "processingTime": 2,
                        "serviceEndpoint": "http://localhost:8081",
                        "retryCount": 0,
                        "cacheHit": false,
                    },
                }),
            )),
        )),
        (
            status = 408,
            description = "The body did not arrive in time.",
            content((schema::Refused), (schema::Problem = "application/problem+json")),
        ),
        (
            status = 500,
            description = "The gateway refused: the request is wrong, the service is not \
                configured, its circuit is open, or its rate limit is reached.",
            body = schema::Refused,
            headers(
                ("Retry-After" = u64, description = "Seconds, where waiting helps."),
                ("X-RateLimit-Limit" = u32, description = "How many calls may be made at once, if that was it."),
                ("X-RateLimit-Remaining" = u32, description = "0, if that was it."),
            ),
        ),
        (
            status = 503,
            description = "Too many large requests are under way; for strict callers also what is \
                unavailable for another reason.",
            content((schema::Refused), (schema::Problem = "application/problem+json")),
            headers(("Retry-After" = u64, description = "Seconds.")),
        ),
        (
            status = 508,
            description = "The request has been here before: gateways call each other.",
            content((schema::Refused), (schema::Problem = "application/problem+json")),
        ),
        (
            status = "default",
            description = "With `MCP_GATEWAY_STRICT_STATUS=true`, every failure: 400, 404, 413, \
                429, 502, 503, 504, or what the backend answered.",
            body = schema::Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
pub(super) async fn request(
    State(shared): State<Arc<Shared>>,
    request: Request<axum::body::Body>,
) -> Response<axum::body::Body> {
    let received = shared.clock().now();
    let (head, body) = request.into_parts();
    let answer = match shared.collect(body).await {
        Ok(bytes) => answer(&shared, &head, &bytes, received).await,
        Err(error) => refuse(&shared, &error),
    };
    answer.map(axum::body::Body::new)
}

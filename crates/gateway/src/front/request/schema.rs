//! What `/mcp/request` reads and answers, for the OpenAPI document only: the requests are read by
//! `envelope` and the answers written by `render`, both by hand, and a test of the whole gateway
//! holds these types to what those do.
#![expect(dead_code, reason = "described, never made")]

use serde_json::Value;
use utoipa::{ToSchema, openapi::schema::Object};

use crate::front::docs::words;

/// A call of an operation. Members that are not listed are passed over.
#[derive(ToSchema)]
pub(crate) struct Call {
    /// Comes back as `requestId`, whatever it is.
    #[schema(required = false)]
    id: Value,
    /// The service, by the name that `GET /mcp/services` gives.
    service: String,
    /// The operation: up to 512 letters, digits, `_`, `-`, `.` and `/`, without dot segments. Of a
    /// service that speaks MCP, the tool.
    operation: String,
    /// The body of the request to the service, as it is; `{}` if there are none.
    #[schema(required = false)]
    parameters: Value,
    metadata: Option<Metadata>,
}

/// What is said about a call. Members may be absent or `null`.
#[derive(ToSchema)]
#[schema(as = CallMetadata, rename_all = "camelCase")]
pub(crate) struct Metadata {
    /// Goes to the service as `X-Correlation-ID`; made up where there is none.
    #[schema(max_length = 512)]
    correlation_id: Option<String>,
    /// Milliseconds, retries included. The service's own timeout if that is shorter, or if this
    /// is 0.
    #[schema(minimum = 0)]
    timeout: Option<f64>,
    /// Who goes first when calls wait for the rate limit.
    #[schema(schema_with = priority_schema, required = false)]
    priority: Option<String>,
    /// Goes to the service as `X-Agent-ID`.
    #[schema(max_length = 512)]
    agent_id: Option<String>,
    /// Says that the call may be repeated. Goes to the service as `Idempotency-Key`.
    #[schema(max_length = 512)]
    idempotency_key: Option<String>,
}

fn priority_schema() -> Object {
    words(["low", "normal", "high"])
}

/// What came of a call.
#[derive(ToSchema)]
#[schema(as = CallOutcome)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Success(Success),
    Failure(Failure),
}

/// The service answered.
#[derive(ToSchema)]
#[schema(as = CallSuccess)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Success {
    #[schema(example = "response_1795238658926")]
    id: String,
    /// The `id` of the call, if it had one.
    #[schema(required = false)]
    request_id: Value,
    #[schema(format = DateTime)]
    timestamp: String,
    #[schema(schema_with = yes)]
    success: bool,
    /// The service's answer; a string if it is not JSON.
    #[schema(required = true)]
    data: Value,
    metadata: About,
}

/// The service failed, or did not answer.
#[derive(ToSchema)]
#[schema(as = CallFailure)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    #[schema(example = "response_1795238658926")]
    id: String,
    /// The `id` of the call, if it had one.
    #[schema(required = false)]
    request_id: Value,
    #[schema(format = DateTime)]
    timestamp: String,
    #[schema(schema_with = no)]
    success: bool,
    error: FailureError,
    metadata: About,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureError {
    #[schema(example = "MCP_ERROR")]
    code: String,
    #[schema(example = "Request failed with status code 404")]
    message: String,
    details: Details,
    #[schema(format = DateTime)]
    timestamp: String,
    correlation_id: String,
}

/// The service's answer, if there was one.
#[derive(ToSchema)]
#[schema(as = FailureDetails)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    status: Option<u16>,
    status_text: Option<String>,
    /// A string if it is not JSON.
    #[schema(required = false)]
    data: Value,
}

/// The exchange with the service.
#[derive(ToSchema)]
#[schema(as = CallAbout)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    /// Milliseconds in the gateway, the service's included.
    processing_time: u64,
    #[schema(example = "http://localhost:8081")]
    service_endpoint: String,
    /// Attempts after the first.
    retry_count: u32,
    /// Always false.
    cache_hit: bool,
}

/// The gateway refused.
#[derive(ToSchema)]
pub(crate) struct Refused {
    #[schema(schema_with = no)]
    success: bool,
    error: RefusedError,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedError {
    #[schema(example = "MCP_ERROR")]
    code: String,
    #[schema(example = "Service users not configured")]
    message: String,
    #[schema(format = DateTime)]
    timestamp: String,
    /// Seconds, where waiting helps.
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

/// A failure as problem details (RFC 9457).
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    #[schema(example = "about:blank")]
    r#type: String,
    #[schema(example = "Too Many Requests")]
    title: String,
    #[schema(example = 429)]
    status: u16,
    #[schema(example = "Rate limit queue timeout")]
    detail: String,
    #[schema(schema_with = no)]
    success: bool,
    #[schema(example = "MCP_ERROR")]
    code: String,
    #[schema(format = DateTime)]
    timestamp: String,
    /// The `id` of the call, if it had one.
    #[schema(required = false)]
    request_id: Value,
    #[schema(nullable = false)]
    correlation_id: Option<String>,
    /// Seconds, where waiting helps.
    #[schema(nullable = false)]
    retry_after: Option<u64>,
    /// Where the service failed.
    #[schema(nullable = false)]
    service_endpoint: Option<String>,
    #[schema(nullable = false)]
    retry_count: Option<u32>,
    #[schema(nullable = false)]
    details: Option<Details>,
}

fn yes() -> Object {
    constant(true)
}

fn no() -> Object {
    constant(false)
}

fn constant(value: bool) -> Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::Boolean)
        .enum_values(Some([value]))
        .build()
}

//! What this door reads and answers, for the OpenAPI document only: bodies are read by hand, and
//! results are what servers wrote.
#![expect(dead_code, reason = "described, never made")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{IntoResponses, OpenApi, ToSchema, openapi::schema::Object};

use crate::front::docs::words;

/// A call of a tool, or a request for a prompt. Other members are passed over.
#[derive(ToSchema)]
#[schema(as = NamedCall)]
pub(super) struct Call {
    /// The name at the service.
    name: String,
    /// Passed on as they are; none if there are none.
    arguments: Option<BTreeMap<String, Value>>,
}

/// A request for a resource. Other members are passed over.
#[derive(ToSchema)]
#[schema(as = ResourceAddress)]
pub(super) struct Read {
    uri: String,
}

/// Every page of a list of tools.
#[derive(ToSchema)]
#[schema(as = TemplateTools)]
pub(super) struct Tools {
    /// As MCP has them, each with its schema as `inputSchema` and as `parameters`.
    tools: Vec<BTreeMap<String, Value>>,
    count: usize,
}

/// Every page of a list of resources.
#[derive(ToSchema)]
#[schema(as = TemplateResources)]
pub(super) struct Resources {
    /// As MCP has them.
    resources: Vec<BTreeMap<String, Value>>,
    count: usize,
}

/// Every page of a list of prompts.
#[derive(ToSchema)]
#[schema(as = TemplatePrompts)]
pub(super) struct Prompts {
    /// As MCP has them.
    prompts: Vec<BTreeMap<String, Value>>,
    count: usize,
}

/// The result of a tool, with whatever else the server says.
#[derive(ToSchema)]
#[schema(as = ToolResult)]
pub(super) struct Result {
    /// As MCP has it: texts, images and others.
    content: Vec<BTreeMap<String, Value>>,
    /// Whether the tool failed.
    #[schema(rename = "isError")]
    is_error: bool,
    #[schema(nullable = false)]
    _gateway_info: Option<Info>,
}

/// What a resource holds, with whatever else the server says.
#[derive(ToSchema)]
#[schema(as = ResourceContents)]
pub(super) struct Contents {
    /// As MCP has them.
    contents: Vec<BTreeMap<String, Value>>,
    #[schema(nullable = false)]
    _gateway_info: Option<Info>,
}

/// A prompt, with whatever else the server says.
#[derive(ToSchema)]
#[schema(as = PromptMessages)]
pub(super) struct Messages {
    /// As MCP has them.
    messages: Vec<BTreeMap<String, Value>>,
    #[schema(nullable = false)]
    _gateway_info: Option<Info>,
}

/// How a result came about; absent if the request has `X-Gateway-Info: false`.
#[derive(ToSchema)]
#[schema(as = GatewayInfo)]
pub(super) struct Info {
    /// The instance that answered.
    instance_id: Option<String>,
    /// Where it is.
    endpoint: Option<String>,
    /// How it was chosen.
    load_balancer_strategy: String,
    /// How long the request took.
    execution_time_ms: u64,
}

/// How the instances of a template are.
#[derive(ToSchema)]
#[schema(as = TemplateHealth)]
pub(super) struct Health {
    template_name: String,
    total_instances: usize,
    healthy_instances: usize,
    /// With one decimal; zero where there are no instances.
    health_percentage: f64,
    /// By their ids.
    instances: BTreeMap<String, Instance>,
}

/// How one instance is.
#[derive(ToSchema)]
#[schema(as = TemplateInstanceHealth)]
pub(super) struct Instance {
    healthy: bool,
    /// Nothing for a program.
    endpoint: Option<String>,
    #[schema(schema_with = transport)]
    transport: String,
    #[schema(schema_with = status)]
    status: String,
    /// Bad probes since the last good one.
    consecutive_failures: u32,
    /// When it was last probed, if it ever was.
    last_health_check: Option<String>,
}

/// Why there is no result.
#[derive(ToSchema)]
#[schema(as = TemplateError)]
pub(super) struct Error {
    /// A text, or a list of faults if the body of the request is at fault.
    detail: Value,
    error: ErrorObject,
}

/// The same for programs.
#[derive(ToSchema)]
#[schema(as = TemplateErrorObject)]
pub(super) struct ErrorObject {
    /// Such as `TemplateNotFound`.
    #[schema(rename = "type")]
    kind: String,
    message: String,
    /// The code, and the data if there is any, of an error of an MCP server.
    details: Option<BTreeMap<String, Value>>,
    timestamp: String,
    /// That of the head of the answer.
    request_id: Option<String>,
}

/// What refusals refer to.
#[derive(OpenApi)]
#[openapi(components(schemas(Error)))]
pub(super) struct OfRefusals;

/// Why whatever is asked may not be had.
#[derive(IntoResponses)]
pub(super) enum Refused {
    /// There is no such template, or nothing of this name there.
    #[response(status = 404)]
    Unknown(Error),
    /// Another refusal: 413, 429, 501, 502, 503 or 504.
    #[response(status = "default")]
    Other(Error),
}

/// Why a body is no question.
#[derive(IntoResponses)]
pub(super) enum Misunderstood {
    /// Something that must be said is missing, or the server refuses it.
    #[response(status = 400)]
    Incomplete(Error),
    /// The body is not JSON, or not of this form.
    #[response(status = 422)]
    Malformed(Error),
}

fn transport() -> Object {
    words(["http", "sse", "stdio"])
}

fn status() -> Object {
    words(["healthy", "unhealthy", "unknown"])
}

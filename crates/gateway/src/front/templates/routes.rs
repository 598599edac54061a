//! The routes of this door, and what there is to say of each.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
};
use http::{Request, Response};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Operation, enter, schema};
use crate::{current::Current, front::docs::tag, shared::Shared};

type Name = Result<Path<String>, PathRejection>;

pub(crate) fn routes() -> OpenApiRouter<Current> {
    OpenApiRouter::with_openapi(schema::OfRefusals::openapi())
        .routes(routes!(list_tools))
        .routes(routes!(call_tool))
        .routes(routes!(list_resources))
        .routes(routes!(read_resource))
        .routes(routes!(list_prompts))
        .routes(routes!(get_prompt))
        .routes(routes!(health))
}

/// List the tools of a service
///
/// Every page of the list. Of a plain service the tools are those of its registry, else its operations.
#[utoipa::path(
    get,
    path = "/mcp/{template}/tools/list",
    tag = tag::TEMPLATES,
    operation_id = "list_template_tools",
    params(("template" = String, Path, description = "The name of a service.", example = "inventory")),
    responses(
        (status = 200, description = "The tools.", body = schema::Tools, example = json!({
            "tools": [{
                "name": "read_file",
                "inputSchema": { "type": "object" },
                "parameters": { "type": "object" }
            }],
            "count": 1
        })),
        schema::Refused,
    ),
)]
async fn list_tools(
    shared: State<Arc<Shared>>,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    enter(Operation::ListTools, shared, name, request).await
}

/// Call a tool of a service
///
/// The result is what the tool answered. A tool that ran and failed says so in `isError`.
#[utoipa::path(
    post,
    path = "/mcp/{template}/tools/call",
    tag = tag::TEMPLATES,
    operation_id = "call_template_tool",
    params(("template" = String, Path, description = "The name of a service.", example = "inventory")),
    request_body(
        content = schema::Call,
        content_type = "application/json",
        example = json!({ "name": "read_file", "arguments": { "path": "/etc/hosts" } }),
    ),
    responses(
        (status = 200, description = "What the tool answered.", body = schema::Result, example = json!({
            "content": [{ "type": "text", "text": "127.0.0.1 localhost" }],
            "isError": false,
            "_gateway_info": {
            "instance_id": "inv-1",
            "endpoint": "http://localhost:7071",
            "load_balancer_strategy": "round_robin",
            "execution_time_ms": 3
        }
        })),
        schema::Misunderstood,
        schema::Refused,
    ),
)]
async fn call_tool(
    shared: State<Arc<Shared>>,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    enter(Operation::CallTool, shared, name, request).await
}

/// List the resources of a service
///
/// Every page of the list. A plain service has none.
#[utoipa::path(
    get,
    path = "/mcp/{template}/resources/list",
    tag = tag::TEMPLATES,
    operation_id = "list_template_resources",
    params(("template" = String, Path, description = "The name of a service.", example = "inventory")),
    responses(
        (status = 200, description = "The resources.", body = schema::Resources, example = json!({ "resources": [{ "uri": "file:///a", "name": "a" }], "count": 1 })),
        schema::Refused,
    ),
)]
async fn list_resources(
    shared: State<Arc<Shared>>,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    enter(Operation::ListResources, shared, name, request).await
}

/// Read a resource of a service
///
/// What it holds, as the server gives it.
#[utoipa::path(
    post,
    path = "/mcp/{template}/resources/read",
    tag = tag::TEMPLATES,
    operation_id = "read_template_resource",
    params(("template" = String, Path, description = "The name of a service.", example = "inventory")),
    request_body(
        content = schema::Read,
        content_type = "application/json",
        example = json!({ "uri": "file:///a" }),
    ),
    responses(
        (status = 200, description = "What the resource holds.", body = schema::Contents, example = json!({
            "contents": [{ "uri": "file:///a", "text": "a" }],
            "_gateway_info": {
            "instance_id": "inv-1",
            "endpoint": "http://localhost:7071",
            "load_balancer_strategy": "round_robin",
            "execution_time_ms": 3
        }
        })),
        schema::Misunderstood,
        schema::Refused,
    ),
)]
async fn read_resource(
    shared: State<Arc<Shared>>,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    enter(Operation::ReadResource, shared, name, request).await
}

/// List the prompts of a service
///
/// Every page of the list. A plain service has none.
#[utoipa::path(
    get,
    path = "/mcp/{template}/prompts/list",
    tag = tag::TEMPLATES,
    operation_id = "list_template_prompts",
    params(("template" = String, Path, description = "The name of a service.", example = "inventory")),
    responses(
        (status = 200, description = "The prompts.", body = schema::Prompts, example = json!({ "prompts": [{ "name": "greet" }], "count": 1 })),
        schema::Refused,
    ),
)]
async fn list_prompts(
    shared: State<Arc<Shared>>,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    enter(Operation::ListPrompts, shared, name, request).await
}

/// Get a prompt of a service
///
/// Its messages, as the server gives them.
#[utoipa::path(
    post,
    path = "/mcp/{template}/prompts/get",
    tag = tag::TEMPLATES,
    operation_id = "get_template_prompt",
    params(("template" = String, Path, description = "The name of a service.", example = "inventory")),
    request_body(
        content = schema::Call,
        content_type = "application/json",
        example = json!({ "name": "greet", "arguments": {} }),
    ),
    responses(
        (status = 200, description = "The prompt.", body = schema::Messages, example = json!({
            "messages": [{ "role": "user", "content": { "type": "text", "text": "Hello" } }],
            "_gateway_info": {
            "instance_id": "inv-1",
            "endpoint": "http://localhost:7071",
            "load_balancer_strategy": "round_robin",
            "execution_time_ms": 3
        }
        })),
        schema::Misunderstood,
        schema::Refused,
    ),
)]
async fn get_prompt(
    shared: State<Arc<Shared>>,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    enter(Operation::GetPrompt, shared, name, request).await
}

/// See how the instances of a service are
///
/// They are probed now, at most once in a tenth of the probe interval.
#[utoipa::path(
    get,
    path = "/mcp/{template}/health",
    tag = tag::TEMPLATES,
    operation_id = "template_health",
    params(("template" = String, Path, description = "The name of a service.", example = "inventory")),
    responses(
        (status = 200, description = "How they are.", body = schema::Health, example = json!({
            "template_name": "inventory",
            "total_instances": 1,
            "healthy_instances": 1,
            "health_percentage": 100.0,
            "instances": { "inv-1": {
                "healthy": true,
                "endpoint": "http://localhost:7071",
                "transport": "http",
                "status": "healthy",
                "consecutive_failures": 0,
                "last_health_check": "2026-01-01T00:00:00.000Z"
            } }
        })),
        schema::Refused,
    ),
)]
async fn health(shared: State<Arc<Shared>>, name: Name, request: Request<Body>) -> Response<Body> {
    enter(Operation::Health, shared, name, request).await
}

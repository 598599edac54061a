//! `/mcp/{template}/...`: the tools, resources and prompts of one service as plain REST, and the
//! health of its instances.
//!
//! Whatever a service speaks, it is shown in the words of MCP: `tools/list` gives every tool of
//! every page, `tools/call` a result of a tool. Each request has its own turn among the instances.

mod call;
mod health;
mod lists;
mod problem;
mod rest;
mod routes;
mod schema;
mod types;
mod visit;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

pub(crate) use self::routes::routes;
use self::{problem::Problem, visit::Visit};
use crate::{
    error::Error,
    front::{detail, request},
    ids,
    permit::RESERVED,
    shared::Shared,
};

const X_GATEWAY_VERSION: HeaderName = HeaderName::from_static("x-gateway-version");
const VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

/// What can be asked of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    ListTools,
    CallTool,
    ListResources,
    ReadResource,
    ListPrompts,
    GetPrompt,
    Health,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::ListTools,
        Self::CallTool,
        Self::ListResources,
        Self::ReadResource,
        Self::ListPrompts,
        Self::GetPrompt,
        Self::Health,
    ];

    /// What follows the template in the path.
    fn path(self) -> &'static str {
        match self {
            Self::ListTools => "tools/list",
            Self::CallTool => "tools/call",
            Self::ListResources => "resources/list",
            Self::ReadResource => "resources/read",
            Self::ListPrompts => "prompts/list",
            Self::GetPrompt => "prompts/get",
            Self::Health => "health",
        }
    }
}

/// Whether this door is who answers at `path`, which is as the caller wrote it.
pub(crate) fn has(path: &str) -> bool {
    let rest = path.strip_prefix("/mcp/").and_then(|it| it.split_once('/'));
    rest.is_some_and(|(template, operation)| {
        !RESERVED.contains(&template) && Operation::ALL.iter().any(|it| it.path() == operation)
    })
}

/// The answer to a request that does not get as far as this door.
pub(crate) fn refuse(shared: &Shared, error: &Error) -> Response<Body> {
    Problem::of(None, error).response(shared, "")
}

async fn enter(
    operation: Operation,
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let (method, uri) = (head.method.clone(), head.uri.clone());
    let name = match name {
        Ok(Path(name)) => name,
        Err(rejected) => {
            let problem = Problem::new(StatusCode::BAD_REQUEST, rejected.body_text());
            return problem.response(&shared, ids::text(&head.headers));
        }
    };
    if RESERVED.contains(&&*name) {
        return request::not_found(State(shared), method, uri).await;
    }
    let checked = shared.mcp().origin().check(&head.headers, uri.authority());
    let service = match checked {
        Ok(()) => shared
            .catalog()
            .service(&name)
            .ok_or_else(|| Problem::no_template(&name)),
        Err(refused) => Err(Problem::new(StatusCode::FORBIDDEN, refused.to_string())),
    };
    let visit = match service {
        Ok(service) => Visit::begin(&shared, service, head.headers),
        Err(problem) => return problem.response(&shared, ids::text(&head.headers)),
    };
    let answer = match operation {
        Operation::ListTools => lists::tools(&visit).await,
        Operation::ListResources => lists::resources(&visit).await,
        Operation::ListPrompts => lists::prompts(&visit).await,
        Operation::CallTool => call::tool(&visit, body).await,
        Operation::ReadResource => call::resource(&visit, body).await,
        Operation::GetPrompt => call::prompt(&visit, body).await,
        Operation::Health => health::health(&visit).await,
    };
    visit.log(operation.path(), &answer);
    let mut response = match answer {
        Ok(json) => detail::bytes(StatusCode::OK, json),
        Err(problem) => problem.response(&shared, visit.request_id()),
    };
    visit.sign(response.headers_mut());
    response
}

/// There is a page, but not by this method; the router adds `Allow`.
pub(crate) async fn not_allowed(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    if name.is_ok_and(|Path(name)| RESERVED.contains(&&*name)) {
        return request::not_found(State(shared), method, uri).await;
    }
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    problem.response(&shared, ids::text(&headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_paths_are_those_of_templates() {
        for path in [
            "/mcp/filesystem/tools/list",
            "/mcp/a%20b/tools/call",
            "/mcp/docs/health",
            "/mcp/docs/prompts/get",
        ] {
            assert!(has(path), "{path}");
        }
        for path in [
            "/mcp",
            "/mcp/health",
            "/mcp/docs",
            "/mcp/docs/sse",
            "/mcp/services/tools/list",
            "/mcp/services/docs/definition",
            "/mcp/docs/tools",
            "/tools/list",
        ] {
            assert!(!has(path), "{path}");
        }
    }
}

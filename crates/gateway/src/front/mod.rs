//! The front doors: one module for each dialect. A front door reads a request, hands on a
//! call, and renders the answer and the errors in its own words; it decides nothing.

pub(crate) mod detail;
pub(crate) mod docs;
pub(crate) mod manage;
pub(crate) mod mcp;
pub(crate) mod probes;
pub(crate) mod request;
pub(crate) mod templates;
pub(crate) mod tools;

use std::sync::Arc;

use axum::{Router, body::Body, extract::State};
use bartizan_config::Strategy;
use http::{Method, Response, StatusCode, Uri};
use utoipa::openapi::OpenApi;

use crate::{current::Current, error::Error, shared::Shared, works::Works};

/// The answer to a request that no door gets to see, in the words of the door that it came to.
pub(crate) type Refuse = fn(&Shared, &Error) -> Response<Body>;

/// What there is no page for.
pub(crate) async fn not_found(
    state: State<Arc<Shared>>,
    method: Method,
    uri: Uri,
) -> Response<Body> {
    if says_detail(uri.path()) {
        return detail::refuse(StatusCode::NOT_FOUND, "Not Found");
    }
    request::not_found(state, method, uri).await
}

/// How requests to a path are refused.
pub(crate) fn refusing(path: &str) -> Refuse {
    if says_detail(path) {
        |_, error| detail::error(error)
    } else if templates::has(path) {
        templates::refuse
    } else {
        |shared, error| request::refuse(shared, error).map(Body::new)
    }
}

/// The name of a strategy as registries, and the documents of the gateways, have it.
fn strategy_name(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::RoundRobin => "round_robin",
        Strategy::Weighted => "weighted",
        Strategy::LeastConnections => "least_connections",
        Strategy::HealthBased => "health_based",
        Strategy::Random => "random",
        Strategy::P2c => "p2c",
        Strategy::P2cEwma => "p2c_ewma",
        Strategy::ConsistentHash => "consistent_hash",
    }
}

/// Whether the door at a path speaks the dialect of [`detail`].
fn says_detail(path: &str) -> bool {
    let below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ["/gateway", "/tools", "/health"].into_iter().any(below)
}

/// The doors that are plain HTTP, whose routes are made together with their part of the OpenAPI
/// document. MCP itself is not among them: what a message of JSON-RPC may say, no such document
/// can.
pub(crate) fn routes(works: &Arc<Works>) -> Router<Current> {
    Router::new()
        .merge(Router::from(request::routes()))
        .merge(Router::from(tools::routes()).method_not_allowed_fallback(detail::not_allowed))
        .merge(manage::router(works))
        .merge(
            Router::from(templates::routes()).method_not_allowed_fallback(templates::not_allowed),
        )
        .merge(Router::from(probes::routes()))
        .merge(Router::from(probes::metrics_routes()).with_state(Arc::clone(works)))
}

/// What there is to say of the same doors.
fn description() -> OpenApi {
    let mut whole = request::routes().into_openapi();
    whole.merge(tools::routes().into_openapi());
    whole.merge(templates::routes().into_openapi());
    whole.merge(manage::routes().into_openapi());
    whole.merge(probes::routes().into_openapi());
    whole.merge(probes::metrics_routes().into_openapi());
    whole
}

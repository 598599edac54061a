//! Tools as plain REST: `/tools`, `/tools/{namespace.tool}`, and `/health`, which counts backends.

mod answer;
mod call;
mod list;
mod shapes;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use bartizan_circuit_breaker::State as BreakerState;
use bartizan_config::Dialect;
use http::{Response, StatusCode};

use self::shapes::{App, Backends, Health};
use super::detail;
use crate::{current::Current, service::Service, shared::Shared};

pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/health", get(health))
        .route("/tools", get(list::tools))
        .route("/tools/{tool}", post(call::call))
        .method_not_allowed_fallback(detail::not_allowed)
}

/// How many backends are well, for whoever asks: it names none.
async fn health(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let services = shared.catalog().services();
    let total = services.len();
    let healthy = services.iter().filter(|service| is_well(service)).count();
    let backends = Backends {
        status: match (healthy, total) {
            (_, 0) => "unknown",
            (0, _) => "unhealthy",
            _ if healthy == total => "healthy",
            _ => "degraded",
        },
        backends_total: total,
        backends_healthy: healthy,
        backends_unhealthy: total - healthy,
    };
    let app = "MCP Gateway";
    let health = match shared.dialect() {
        Dialect::Backends => Health::Backends(backends),
        Dialect::App => Health::App(App { status: "ok", app }),
        Dialect::Both => Health::Both { backends, app },
    };
    detail::json(StatusCode::OK, &health)
}

/// Whether calls of a service go anywhere.
fn is_well(service: &Service) -> bool {
    service.usable_instances() > 0 && service.breaker().state() != BreakerState::Open
}

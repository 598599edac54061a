//! Tools as plain REST: `/tools`, `/tools/{namespace.tool}`, and `/health`, which counts backends.

mod answer;
mod call;
mod list;
mod shapes;

use std::sync::Arc;

use axum::{body::Body, extract::State};
use bartizan_circuit_breaker::State as BreakerState;
use bartizan_config::Dialect;
use http::{Response, StatusCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::shapes::{AnyHealth, App, Backends, Health};
use super::{detail, docs::tag};
use crate::{current::Current, service::Service, shared::Shared};

pub(crate) fn routes() -> OpenApiRouter<Current> {
    OpenApiRouter::default()
        .routes(routes!(call::call))
        .routes(routes!(list::tools))
        .routes(routes!(health))
}

/// How many backends are well
///
/// For whoever asks: it names none. Which of its members there are, the gateway's `DIALECT` says.
#[utoipa::path(
    get,
    path = "/health",
    tag = tag::TOOLS,
    operation_id = "backends_health",
    security(()),
    responses((
        status = 200,
        description = "Whatever the numbers are.",
        body = AnyHealth,
        example = json!({
            "status": "healthy",
            "backends_total": 4,
            "backends_healthy": 4,
            "backends_unhealthy": 0,
            "app": "MCP Gateway",
        }),
    )),
)]
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

//! For whoever operates the gateway: `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::docs::tag;
use crate::{current::Current, shared::Shared, works::Works};

pub(crate) fn routes() -> OpenApiRouter<Current> {
    OpenApiRouter::default()
        .routes(routes!(live))
        .routes(routes!(ready))
}

/// The page that tells of more than one snapshot knows: how the registries are.
pub(crate) fn metrics_routes() -> OpenApiRouter<Arc<Works>> {
    OpenApiRouter::default().routes(routes!(metrics))
}

/// Whether the process lives
///
/// No other answer than this one: a gateway that gives none is to be started anew.
#[utoipa::path(
    get,
    path = "/livez",
    tag = tag::PROBES,
    security(()),
    responses((status = 200, description = "It does.", body = String, example = json!("ok\n"))),
)]
async fn live() -> &'static str {
    "ok\n"
}

/// Whether the gateway takes calls
///
/// Ready means able to take calls: configured and not draining. The health of backends does
/// not count; a backend that is down costs its own operations and nothing else.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = tag::PROBES,
    security(()),
    responses(
        (status = 200, description = "It does.", body = String, example = json!("ok\n")),
        (
            status = 503,
            description = "It is about to stop; calls under way are finished.",
            body = String,
            example = json!("draining\n"),
        ),
    ),
)]
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.is_leaving() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    } else {
        "ok\n".into_response()
    }
}

/// Metrics for Prometheus
///
/// What the gateway counted and measured, in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = tag::PROBES,
    responses((
        status = 200,
        description = "All of them.",
        body = String,
        content_type = "text/plain",
    )),
)]
async fn metrics(State(works): State<Arc<Works>>) -> Response {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let stale_files = works.registries().stale_files();
    let page = works.current().load().render_metrics(&stale_files);
    ([(CONTENT_TYPE, TEXT)], page).into_response()
}

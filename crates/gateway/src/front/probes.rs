//! For whoever operates the gateway: `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{current::Current, shared::Shared};

pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready means able to take calls: configured and not draining. The health of backends does
/// not count; a backend that is down costs its own operations and nothing else.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    } else {
        "ok\n".into_response()
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, TEXT)], shared.render_metrics()).into_response()
}

//! `/gateway/*`: how the gateway and the instances of its registries are doing, and what changes
//! them.

mod changes;
mod figures;
mod pages;
mod shapes;

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post},
};

use super::detail;
use crate::works::Works;

pub(crate) fn routes() -> Router<Arc<Works>> {
    let instance = "{template}/{instance_id}";
    Router::new()
        .route("/gateway/health", get(pages::health))
        .route("/gateway/stats", get(pages::stats))
        .route("/gateway/registry", get(pages::registry))
        .route("/gateway/register", post(changes::register))
        .route(
            &format!("/gateway/deregister/{instance}"),
            delete(changes::deregister),
        )
        .route(
            &format!("/gateway/heartbeat/{instance}"),
            post(changes::heartbeat),
        )
        .route("/gateway/sync", post(changes::sync))
        .route("/gateway/reload", post(changes::reload))
        .method_not_allowed_fallback(detail::not_allowed)
}

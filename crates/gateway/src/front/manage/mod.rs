//! `/gateway/*`: how the gateway and the instances of its registries are doing, and what changes
//! them.

mod changes;
mod figures;
mod pages;
mod shapes;

use std::sync::Arc;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::works::Works;

pub(crate) fn routes() -> OpenApiRouter<Arc<Works>> {
    OpenApiRouter::default()
        .routes(routes!(pages::health))
        .routes(routes!(pages::stats))
        .routes(routes!(pages::registry))
        .routes(routes!(changes::register))
        .routes(routes!(changes::deregister))
        .routes(routes!(changes::heartbeat))
        .routes(routes!(changes::sync))
        .routes(routes!(changes::reload))
}

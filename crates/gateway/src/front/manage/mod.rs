//! `/gateway/*`: how the gateway and the instances of its registries are doing, and what changes
//! them.

mod changes;
mod figures;
mod pages;
mod shapes;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
};
use http::{Response, StatusCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::detail;
use crate::{current::Current, works::Works};

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

/// The same routes, put to work.
pub(crate) fn router(works: &Arc<Works>) -> Router<Current> {
    Router::from(routes())
        .route_layer(from_fn_with_state(Arc::clone(works), refuse_pages))
        .method_not_allowed_fallback(detail::not_allowed)
        .with_state(Arc::clone(works))
}

/// Refuses what a page of a browser wants to change that is not of this gateway: without keys,
/// all that protects a gateway on loopback is that only its own machine reaches it.
async fn refuse_pages(
    State(works): State<Arc<Works>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if !request.method().is_safe() {
        let shared = works.current().load();
        let origin = shared.mcp().origin();
        if let Err(refused) = origin.check(request.headers(), request.uri().authority()) {
            return detail::refuse(StatusCode::FORBIDDEN, refused.to_string());
        }
    }
    next.run(request).await
}

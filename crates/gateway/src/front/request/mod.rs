//! `/mcp/request` and what stands beside it: services and operations in a JSON envelope.

mod door;
mod envelope;
mod invoke;
mod pages;
mod render;
mod schema;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::current::Current;

pub(crate) use invoke::refuse;
pub(crate) use pages::{not_allowed, not_found};

pub(crate) fn routes() -> OpenApiRouter<Current> {
    OpenApiRouter::default()
        .routes(routes!(door::request))
        .routes(routes!(pages::health))
        .routes(routes!(pages::services))
        .routes(routes!(pages::definition))
        .routes(routes!(pages::metrics))
}

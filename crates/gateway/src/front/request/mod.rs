//! `/mcp/request` and what stands beside it: services and operations in a JSON envelope.

mod envelope;
mod invoke;
mod pages;
mod render;

use axum::{
    Router,
    routing::{get, post},
};

use crate::current::Current;

pub(crate) use invoke::refuse;
pub(crate) use pages::{not_allowed, not_found};

pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/mcp/request", post(invoke::request))
        .route("/mcp/health", get(pages::health))
        .route("/mcp/services", get(pages::services))
        .route("/mcp/services/{name}/definition", get(pages::definition))
        .route("/mcp/services/{name}/metrics", get(pages::metrics))
}

//! The endpoints that only look.

use std::{collections::BTreeMap, sync::Arc};

use axum::{body::Body, extract::State};
use http::{Response, StatusCode};

use super::{
    figures::Figures,
    shapes::{GatewayStats, Health, Registry, Stats},
};
use crate::{
    front::{detail, docs::tag},
    works::Works,
};

/// How registries and instances are doing
///
/// The status of the answer is 200 whatever it says.
#[utoipa::path(
    get,
    path = "/gateway/health",
    tag = tag::REGISTRIES,
    operation_id = "gateway_health",
    responses((status = 200, description = "Their health.", body = Health)),
)]
pub(super) async fn health(State(works): State<Arc<Works>>) -> Response<Body> {
    let figures = Figures::take(&works);
    let registry = figures.registry();
    let is_stale = registry.sources.iter().any(|source| source.stale);
    let status = match (registry.healthy_instances, registry.unhealthy_instances) {
        (0, 1..) => "unhealthy",
        (_, 1..) => "degraded",
        _ if is_stale => "degraded",
        _ => "healthy",
    };
    let health = Health {
        status,
        uptime_seconds: figures.uptime_seconds(),
        total_requests: figures.total_requests(),
        registry_stats: registry,
        health_checker_stats: figures.checker(),
        load_balancer_stats: figures.balancer(),
    };
    detail::json(StatusCode::OK, &health)
}

/// What was counted
///
/// Calls are counted when they are sent to an instance, for as long as it is listed. What was, is
/// in `/metrics`.
#[utoipa::path(
    get,
    path = "/gateway/stats",
    tag = tag::REGISTRIES,
    operation_id = "gateway_stats",
    responses((status = 200, description = "Numbers of calls, instances and probes.", body = Stats)),
)]
pub(super) async fn stats(State(works): State<Arc<Works>>) -> Response<Body> {
    let figures = Figures::take(&works);
    let defaults = figures.defaults();
    let stats = Stats {
        gateway: GatewayStats {
            uptime_seconds: figures.uptime_seconds(),
            total_requests: figures.total_requests(),
            request_timeout: defaults.request_timeout.as_secs_f64(),
            max_retries: *defaults.max_retries,
        },
        registry: figures.registry(),
        health_checker: figures.checker(),
        load_balancer: figures.balancer(),
    };
    detail::json(StatusCode::OK, &stats)
}

/// What is registered
///
/// An instance is as its file has it, with its health as it is now. Secrets are `[redacted]`.
#[utoipa::path(
    get,
    path = "/gateway/registry",
    tag = tag::REGISTRIES,
    operation_id = "gateway_registry",
    responses((status = 200, description = "All templates and instances.", body = Registry)),
)]
pub(super) async fn registry(State(works): State<Arc<Works>>) -> Response<Body> {
    let figures = Figures::take(&works);
    let templates: BTreeMap<_, _> = figures.templates().collect();
    let stats = figures.registry();
    detail::json(StatusCode::OK, &Registry { templates, stats })
}

//! The documented `GET` endpoints beside `/mcp/request`.

use std::{sync::Arc, time::SystemTime};

use axum::{
    extract::{Path, State},
    response::Response,
};
use bartizan_circuit_breaker::{Snapshot, State as BreakerState};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;

use super::render;
use crate::{
    body::Body,
    error::Error,
    mcp::{Door, tool},
    service::Service,
    shared::Shared,
};

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    timestamp: String,
    services: Vec<ServiceHealth<'a>>,
}

#[derive(Serialize)]
struct ServiceHealth<'a> {
    name: &'a str,
    status: &'static str,
}

#[derive(Serialize)]
struct Services<'a> {
    services: Vec<ServiceEntry<'a>>,
}

#[derive(Serialize)]
struct ServiceEntry<'a> {
    name: &'a str,
    endpoint: String,
    status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics<'a> {
    service_name: &'a str,
    circuit_breaker: BreakerMetrics,
    rate_limiter: LimiterMetrics,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BreakerMetrics {
    state: &'static str,
    failure_count: u32,
    last_failure_time: Option<String>,
    half_open_attempts: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimiterMetrics {
    tokens: u32,
    last_refill: String,
    queue_length: usize,
}

/// The gateway's own health, which is that it answers, and each service's by its breaker.
pub(super) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let services = shared.catalog().iter();
    page(&Health {
        status: "healthy",
        timestamp: date(shared.clock().wall()),
        services: services
            .map(|service| ServiceHealth {
                name: service.name(),
                status: status(service),
            })
            .collect(),
    })
}

pub(super) async fn services(State(shared): State<Arc<Shared>>) -> Response {
    let services = shared.catalog().iter();
    page(&Services {
        services: services
            .map(|service| ServiceEntry {
                name: service.name(),
                endpoint: service.endpoint(),
                status: status(service),
            })
            .collect(),
    })
}

/// The service's own definition, as it sends it.
pub(super) async fn definition(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let not_found = |message: String| {
        let error = Error::Invalid(message);
        let now = shared.clock().wall();
        render::plain_error(StatusCode::NOT_FOUND, &error, now).map(axum::body::Body::new)
    };
    let Some(service) = shared.catalog().service(&name) else {
        return not_found(format!("Service {name} not found"));
    };
    let definition = if service.mcp().is_some() {
        let door = Door::new(&shared, service, shared.caller(&headers), &headers);
        tool::definition(&door).await
    } else {
        service.fetch_definition().await
    };
    match definition {
        Ok(definition) => render::response(StatusCode::OK, render::JSON, Body::from(definition))
            .map(axum::body::Body::new),
        Err(reason) => not_found(format!(
            "Failed to get service definition for {name}: {reason}"
        )),
    }
}

pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Response {
    let now = shared.clock().wall();
    let Some(service) = shared.catalog().service(&name) else {
        let error = Error::Invalid("Service not found".to_owned());
        return render::plain_error(StatusCode::NOT_FOUND, &error, now).map(axum::body::Body::new);
    };
    let instant = shared.clock().now();
    let ago = |at| date(now - (instant - at));
    let breaker = service.breaker().snapshot();
    let limiter = service.limiter().snapshot();
    page(&Metrics {
        service_name: service.name(),
        circuit_breaker: BreakerMetrics {
            state: match breaker.state {
                BreakerState::Closed => "CLOSED",
                BreakerState::Open => "OPEN",
                BreakerState::HalfOpen => "HALF_OPEN",
            },
            failure_count: failure_count(service, &breaker),
            last_failure_time: breaker.last_failure.map(ago),
            half_open_attempts: breaker.half_open_in_flight + breaker.half_open_successes,
        },
        rate_limiter: LimiterMetrics {
            tokens: limiter.tokens,
            last_refill: limiter.last_refill.map_or_else(|| date(now), ago),
            queue_length: limiter.waiting,
        },
    })
}

/// What there is no page for.
pub(crate) async fn not_found(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
) -> Response {
    cannot(&shared, StatusCode::NOT_FOUND, &method, &uri)
}

/// What there is a page for, but not by this method; the router adds `Allow`.
pub(crate) async fn not_allowed(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
) -> Response {
    cannot(&shared, StatusCode::METHOD_NOT_ALLOWED, &method, &uri)
}

fn cannot(shared: &Shared, status: StatusCode, method: &Method, uri: &Uri) -> Response {
    let error = Error::Invalid(format!("Cannot {method} {}", uri.path()));
    let now = shared.clock().wall();
    render::plain_error(status, &error, now).map(axum::body::Body::new)
}

/// Failures in a row; those that opened a circuit stand until it has closed.
fn failure_count(service: &Service, breaker: &Snapshot) -> u32 {
    let threshold = service.breaker().config().failure_threshold();
    match breaker.state {
        BreakerState::Closed => breaker.consecutive_failures,
        BreakerState::Open | BreakerState::HalfOpen => {
            breaker.consecutive_failures.max(threshold.unwrap_or(0))
        }
    }
}

fn status(service: &Service) -> &'static str {
    match service.breaker().state() {
        BreakerState::Closed => "healthy",
        BreakerState::HalfOpen => "recovering",
        BreakerState::Open => "unhealthy",
    }
}

fn date(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn page<T: Serialize>(value: &T) -> Response {
    let mut out = Vec::with_capacity(512);
    render::json(&mut out, value);
    render::response(StatusCode::OK, render::JSON, Body::from(out)).map(axum::body::Body::new)
}

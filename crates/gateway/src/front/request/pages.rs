//! The documented `GET` endpoints beside `/mcp/request`.
#![expect(single_use_lifetimes, reason = "what the derive of `ToSchema` writes")]

use std::{sync::Arc, time::SystemTime};

use axum::{
    extract::{Path, State},
    response::Response,
};
use bartizan_circuit_breaker::{Snapshot, State as BreakerState};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;
use utoipa::{ToSchema, openapi::schema::Object};

use super::{
    render::{self, Context},
    schema::Refused,
};
use crate::{
    body::Body,
    error::Error,
    front::docs::{tag, words},
    mcp::{Door, tool},
    service::Service,
    shared::Shared,
};

/// The health of the gateway and of its services.
#[derive(Serialize, ToSchema)]
#[schema(as = ServicesHealth)]
pub(super) struct Health<'a> {
    /// The gateway's own, which is that it answers.
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
    services: Vec<ServiceHealth<'a>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ServiceHealth<'a> {
    #[schema(example = "inventory")]
    name: &'a str,
    /// By the circuit breaker: closed, half open, open.
    #[schema(schema_with = status_schema)]
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ServiceList)]
pub(super) struct Services<'a> {
    services: Vec<ServiceEntry<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Service)]
pub(super) struct ServiceEntry<'a> {
    #[schema(example = "inventory")]
    name: &'a str,
    /// Where it is reached; of several instances, the first.
    #[schema(example = "http://localhost:8081")]
    endpoint: String,
    /// By the circuit breaker: closed, half open, open.
    #[schema(schema_with = status_schema)]
    status: &'static str,
}

/// A service's circuit breaker and rate limiter.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceMetrics)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metrics<'a> {
    #[schema(example = "inventory")]
    service_name: &'a str,
    circuit_breaker: BreakerMetrics,
    rate_limiter: LimiterMetrics,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BreakerMetrics {
    #[schema(schema_with = state_schema)]
    state: &'static str,
    /// In a row.
    failure_count: u32,
    #[schema(format = DateTime)]
    last_failure_time: Option<String>,
    /// Trial calls since the circuit is half open.
    half_open_attempts: u32,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LimiterMetrics {
    /// Calls that could be made now.
    tokens: u32,
    #[schema(format = DateTime)]
    last_refill: String,
    /// Calls that wait.
    queue_length: usize,
}

fn status_schema() -> Object {
    words(["healthy", "recovering", "unhealthy"])
}

fn state_schema() -> Object {
    words(["CLOSED", "HALF_OPEN", "OPEN"])
}

/// The health of the services
///
/// The gateway's own health, which is that it answers, and each service's by its breaker.
#[utoipa::path(
    get,
    path = "/mcp/health",
    tag = tag::SERVICES,
    operation_id = "services_health",
    responses((status = 200, description = "It answers.", body = Health<'_>)),
)]
pub(super) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let services = shared.catalog().services().iter();
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

/// The services
#[utoipa::path(
    get,
    path = "/mcp/services",
    tag = tag::SERVICES,
    responses((status = 200, description = "All of them.", body = Services<'_>)),
)]
pub(super) async fn services(State(shared): State<Arc<Shared>>) -> Response {
    let services = shared.catalog().services().iter();
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

/// What operations a service has
///
/// The service's own definition, as it sends it when `GET {endpoint}/api/definition` asks for it;
/// of a service that speaks MCP, its tools as operations.
#[utoipa::path(
    get,
    path = "/mcp/services/{name}/definition",
    tag = tag::SERVICES,
    params(("name" = String, Path, description = "The service.", example = "inventory")),
    responses(
        (
            status = 200,
            description = "The definition.",
            body = Object,
            example = json!({
                "name": "inventory",
                "version": "1.0.0",
                "operations": [{ "name": "getItem", "method": "GET" }],
            }),
        ),
        (
            status = 404,
            description = "There is no such service, or it gives no definition.",
            body = Refused,
        ),
    ),
)]
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

/// Breaker and limiter of a service
#[utoipa::path(
    get,
    path = "/mcp/services/{name}/metrics",
    tag = tag::SERVICES,
    operation_id = "service_metrics",
    params(("name" = String, Path, description = "The service.", example = "inventory")),
    responses(
        (status = 200, description = "Their state.", body = Metrics<'_>),
        (status = 404, description = "There is no such service.", body = Refused),
    ),
)]
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
    let answer = if shared.strict() {
        render::problem(status, &error, &Context::unknown(now))
    } else {
        render::plain_error(status, &error, now)
    };
    answer.map(axum::body::Body::new)
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

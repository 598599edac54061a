//! Protects a route of an axum service by a rate limit for each client, and its backend by a
//! circuit breaker.
//!
//! The layers refuse with errors of their own; `HandleErrorLayer` makes responses of them that
//! say when to come back.

#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::{
    convert::Infallible,
    error::Error,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    extract::Request,
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan_circuit_breaker as circuit_breaker;
use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use bartizan_classify::{HttpClassifier, retry_after_seconds};
use bartizan_clock::Clock;
use bartizan_rate_limit as rate_limit;
use bartizan_rate_limit::{KeyedRateLimiter, Quota, RateLimitLayer};
use bytes::Bytes;
use http::{StatusCode, header::RETRY_AFTER};
use http_body_util::Empty;
use hyper_util::{client::legacy, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::default();

    // A bucket for each of 10,000 clients at a time. Those beyond share one, so that inventing
    // names brings neither memory nor calls.
    let quota = Quota::per_minute(60).burst(3).build()?;
    let limiter = KeyedRateLimiter::new(quota, 10_000, clock);
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(Some(2))
        .build()?;
    let breaker = CircuitBreaker::new(config, clock);

    // Outermost first: a client that calls too often costs the breaker nothing. axum calls
    // `Layer::layer` as often as it likes; there is one limiter and one breaker all the same,
    // because they belong to the layers and not to the services.
    let protection = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(refuse))
        .layer(RateLimitLayer::keyed(limiter, client))
        .layer(CircuitBreakerLayer::new(breaker, HttpClassifier::default()));

    let warehouse_is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&warehouse_is_down);
    let stock = async move || match down.load(Relaxed) {
        false => (StatusCode::OK, "12 lamps"),
        true => (StatusCode::BAD_GATEWAY, "the warehouse does not answer"),
    };
    let router = Router::new().route("/stock", get(stock)).layer(protection);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });

    let http = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let call = async |client: &str| {
        let request = http::Request::get(format!("http://{address}/stock"))
            .header("x-client", client)
            .body(Empty::new())?;
        let response = http.request(request).await?;
        let wait = response.headers().get(RETRY_AFTER);
        println!("{client:<5} {}, Retry-After: {wait:?}", response.status());
        Ok::<_, Box<dyn Error>>(())
    };

    // Ada's fourth call in a row is one too many. Bob has a bucket of his own.
    for client in ["ada", "ada", "ada", "ada", "bob"] {
        call(client).await?;
    }
    // After two failures in a row nobody else has to wait for another one.
    warehouse_is_down.store(true, Relaxed);
    for client in ["carol", "dave", "erin"] {
        call(client).await?;
    }
    Ok(())
}

/// Whose bucket a request is counted in. A real service takes a name that it has authenticated,
/// or the address of the peer, and not a header that anybody can write.
fn client(request: &Request) -> String {
    let name = request
        .headers()
        .get("x-client")
        .and_then(|name| name.to_str().ok());
    name.unwrap_or("anonymous").to_owned()
}

async fn refuse(error: rate_limit::Error<circuit_breaker::Error<Infallible>>) -> Response {
    use circuit_breaker::Error::{Inner, Open};
    use rate_limit::Error::{self, Limited};

    let message = error.to_string();
    let (status, wait) = match error {
        Limited(limited) => (StatusCode::TOO_MANY_REQUESTS, limited.retry_after),
        Error::Inner(Open(open)) => (StatusCode::SERVICE_UNAVAILABLE, open.retry_after),
        Error::Inner(Inner(never)) => match never {},
    };
    let retry_after = [(RETRY_AFTER, retry_after_seconds(wait).to_string())];
    (status, retry_after, message).into_response()
}

//! The whole stack around hyper-util's client: retry, rate limit, circuit breaker, credentials,
//! and balancing over two instances, one of which fails.
//!
//! Callers see none of it: some calls take two attempts, until the bad instance is ejected.

#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, http::HeaderMap, routing::get};
use bartizan_auth::{AuthLayer, Credential, Secret};
use bartizan_backoff::Backoff;
use bartizan_balance::{Balance, Balancer, Strategy};
use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use bartizan_classify::{Fault, FaultKind, HttpClassifier};
use bartizan_clock::Clock;
use bartizan_discovery::{Instance, parse_endpoints};
use bartizan_rate_limit::{Quota, RateLimitLayer, RateLimiter, Waiting};
use bartizan_retry::{Attempt, HttpPolicy, RetryBudget, RetryConfig, RetryLayer};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

/// hyper-util's error, with the one thing that the layers want to know of it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct ClientError(#[from] legacy::Error);

impl Fault for ClientError {
    fn fault(&self) -> FaultKind {
        // `bartizan-client` knows more cases in which nothing was sent.
        match self.0.is_connect() {
            true => FaultKind::NotSent,
            false => FaultKind::Interrupted,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let good = serve(StatusCode::OK, "good").await?;
    let bad = serve(StatusCode::SERVICE_UNAVAILABLE, "bad").await?;
    let clock = Clock::default();
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let instances = parse_endpoints(&format!("http://{good}, http://{bad}"))?;
    // Requests bear a path; which instance it is asked of is decided anew for each attempt.
    let connect = move |instance: &Instance| {
        let base = instance.uri().to_string();
        client
            .clone()
            .map_err(ClientError)
            .map_request(move |mut request: Request<_>| {
                let uri = format!("{}{}", base.trim_end_matches('/'), request.uri());
                *request.uri_mut() = uri.parse().unwrap_or_default();
                request
            })
    };
    let balancer = Balancer::builder(Strategy::RoundRobin, clock).build(&instances, connect)?;
    let backoff = Backoff::exponential(Duration::from_millis(10)).build()?;
    let retry = RetryConfig::builder().backoff(backoff).build()?;
    let budget = RetryBudget::with_defaults(clock);
    let limiter = RateLimiter::new(Quota::per_second(50).build()?, clock);
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::default(), clock);
    let credential: Credential = Credential::bearer(&Secret::new("open-sesame"))?;

    // Outermost first, which is the order that matters: every attempt takes a token of the
    // limiter, an open circuit costs no credential, and a retry may go to another instance.
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(
            HttpPolicy::new(clock),
            retry,
            Some(budget),
            clock,
        ))
        .layer(RateLimitLayer::new(limiter).wait(Waiting::default()))
        .layer(CircuitBreakerLayer::new(
            breaker.clone(),
            HttpClassifier::default(),
        ))
        .layer(AuthLayer::new(credential))
        .service(Balance::http(balancer.clone()));

    for call in 1..=10 {
        let request = Request::get("/greeting").body(Full::default())?;
        let response = service.clone().oneshot(request).await?;
        let attempts = response
            .extensions()
            .get()
            .map_or(1, |Attempt(number)| *number);
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("call {call:>2}: {status}, {body:?}, attempts: {attempts}");
    }

    for instance in balancer.snapshot() {
        let ejected = instance.ejected_for.is_some();
        println!(
            "{}: {} requests, ejected: {ejected}",
            instance.id, instance.requests
        );
    }
    Ok(())
}

/// An instance that answers whoever knows the word.
async fn serve(status: StatusCode, name: &'static str) -> std::io::Result<SocketAddr> {
    let greeting = async move |headers: HeaderMap| match headers.get("authorization") {
        Some(word) if word == "Bearer open-sesame" => (status, format!("{name} morning")),
        _ => (StatusCode::UNAUTHORIZED, String::new()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/greeting", get(greeting));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

//! The faults of the original gateway, each shown absent, and what a gateway must survive.

mod backends;
mod callers;
mod endings;
mod refusals;
mod repeats;

use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_gateway::Gateway;
use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Running, Variables};

/// A backend without a definition that answers its queue, then `{}`.
async fn backend() -> Upstream {
    let backend = Upstream::start().await;
    backend.aside("/api/definition", Reply::status(404));
    backend
}

/// Calls an operation that the operator declared idempotent.
async fn repeatable(gateway: &Running) -> bartizan_tests::Answer {
    gateway.call("getUser").await
}

fn variables(backend: &Upstream) -> Variables {
    Variables::user_service(&backend.url()).user("IDEMPOTENT_OPERATIONS", "get*, list?")
}

/// A gateway for which time [passes](pass) when it is told to, and otherwise as it does.
fn with_time(variables: &Variables) -> Running {
    let gateway = Gateway::with_clock(&variables.configuration(), Clock::tokio());
    Running::serve(gateway.expect("a gateway that can be built"))
}

/// Has time pass at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

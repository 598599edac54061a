//! The faults of the original gateway, each shown absent, and what a gateway must survive.

mod backends;
mod callers;
mod endings;
mod refusals;
mod repeats;

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

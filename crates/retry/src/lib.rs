//! Retries that do not make things worse.
//!
//! A retry helps when a failure was bad luck and harms when it was not: it doubles the load on
//! a service that fails because of load, and it books the flight twice. [`RetryLayer`] sends a
//! request again only when all of these agree:
//!
//! * the [`Policy`] says that the outcome may be repeated for a request of its
//!   [`RequestClass`](bartizan_classify::RequestClass) — see [`HttpPolicy`] for the rules of HTTP;
//! * [`RetryConfig::max_attempts`], which counts attempts and not repetitions, is not reached;
//! * the delay — [`Backoff`](bartizan_backoff::Backoff) with jitter, or the service's own
//!   `Retry-After` if that is longer — is neither above the backoff's maximum nor beyond the
//!   request's deadline;
//! * the [`RetryBudget`] has a retry left, so that retries stay a fixed share of the traffic
//!   however much fails;
//! * the service is ready for the attempt.
//!
//! Otherwise the caller gets the last outcome as it is: the response and the error are those of
//! the inner service.
//!
//! ```
//! use bartizan_clock::Clock;
//! use bartizan_retry::{Attempt, HttpPolicy, RetryBudget, RetryConfig, RetryLayer};
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
//! # .block_on(async {
//! let clock = Clock::tokio();
//! let config = RetryConfig::builder().max_attempts(3).build()?;
//! let budget = RetryBudget::with_defaults(clock);
//! let layer = RetryLayer::new(HttpPolicy::new(clock), config, Some(budget), clock);
//!
//! let service = ServiceBuilder::new().layer(layer).service_fn(|request: Request<String>| async move {
//!     let repeated = request.extensions().get::<Attempt>().is_some();
//!     let status = if repeated { 200 } else { 502 };
//!     Ok::<_, Infallible>(Response::builder().status(status).body(()).unwrap())
//! });
//! let request = Request::get("/weather").body(String::new()).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.extensions().get(), Some(&Attempt(2)));
//! # Ok::<(), bartizan_retry::InvalidRetry>(())
//! # }).unwrap();
//! ```
//!
//! # What it costs
//!
//! The first attempt's future lies inside the layer's own; nothing is allocated until a retry
//! has to wait. With [`max_attempts`](RetryConfigBuilder::max_attempts) of one the request is
//! not even copied.
//!
//! # When not to use it
//!
//! Around a whole chain in which inner layers retry too: attempts multiply. Retry in one place,
//! outside the circuit breaker and the per-attempt timeout, inside the total deadline. For long
//! transfers resume instead of repeating; for latency tails hedge.

mod attempt;
mod budget;
mod config;
mod error;
mod event;
mod future;
mod http_policy;
mod http_verdict;
mod layer;
mod plan;
mod policy;
mod replay_body;
mod service;
mod spare;
mod sync;
mod verdict;
mod waiting;

// Under its short name, so that tests can put one of their own in its place.
use bartizan_stripe as stripe;

pub use attempt::{Attempt, Deadline};
pub use budget::RetryBudget;
pub use config::{RetryConfig, RetryConfigBuilder};
pub use error::InvalidRetry;
pub use event::{GiveUp, RetryEvent};
pub use future::ResponseFuture;
pub use http_policy::{HttpPolicy, RETRY_ATTEMPT, class_by_method};
pub use http_verdict::http_verdict;
pub use layer::RetryLayer;
pub use policy::Policy;
pub use replay_body::{ReplayBody, ReplayError};
pub use service::Retry;
pub use verdict::{Reason, Verdict};

//! A circuit breaker for any tower service.
//!
//! A service that is down makes its callers wait, and their callers; a breaker turns calls away
//! at once until the service is likely to be back, and then asks with a few probes. It is a
//! [`CircuitBreakerLayer`] around a service, or a plain [`CircuitBreaker`] without tower.
//!
//! ```
//! use bartizan_circuit_breaker::{
//!     CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, Error, State,
//! };
//! use bartizan_classify::ErrorsAreFailures;
//! use bartizan_clock::Clock;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let config = CircuitBreakerConfig::builder()
//!     .failure_threshold(Some(2))
//!     .build()
//!     .unwrap();
//! let breaker = CircuitBreaker::new(config, Clock::default());
//! let layer = CircuitBreakerLayer::new(breaker.clone(), ErrorsAreFailures);
//! let service = layer.layer(service_fn(|()| async { Err::<(), _>("down") }));
//!
//! for _ in 0..2 {
//!     assert_eq!(service.clone().oneshot(()).await, Err(Error::Inner("down")));
//! }
//! assert_eq!(breaker.state(), State::Open);
//! let rejected = service.oneshot(()).await.unwrap_err();
//! assert!(rejected.open().unwrap().retry_after.as_secs() >= 29);
//! # });
//! ```
//!
//! # How it works
//!
//! *Closed*, the circuit opens after a number of consecutive failures, **or** when failures
//! reach a share of the calls in a sliding window. The first catches a service that is down
//! after as many calls; the second one that half works. An [`Outcome::Limited`] counts towards
//! the share, but a service that answers "slow down" is not down, so it is no consecutive
//! failure.
//!
//! *Open*, it rejects calls for the recovery time, which doubles with each recovery that fails,
//! is jittered so that replicas do not probe together, and is raised by a `Retry-After`; none
//! of which exceeds the maximum.
//!
//! *Half-open*, it admits a few probes. All of them must succeed to close the circuit, and one
//! failure, a limited one included, opens it again. Probes that are cancelled or ignored give
//! way to others, and if probes hang, the cycle is given up after a time.
//!
//! Each stay in a state has a generation, and an outcome counts only in the generation that
//! admitted its call. A call that was admitted before the circuit opened and fails during
//! recovery proves nothing about the recovery, and does nothing to it.
//!
//! # Cost
//!
//! State, generation and the counts that go with them are one atomic word, which calls only
//! read while nothing fails. The window is ten words for each of up to eight threads, of which a
//! call writes one, so that calls on different threads have nothing to wait for; a failure
//! adds up all. A call reads the clock once, when its outcome is known. Calls neither allocate nor
//! count references, and lock only for an instant when they fail, and to change the state. What
//! all calls touch, a good kilobyte a breaker, is not freed with it but kept for the next one.
//!
//! # Placement
//!
//! Inside retries, so that it sees every attempt, and around the time limit of one attempt: a
//! limit outside cancels calls, and a cancelled call says nothing about the service.
//!
//! # When not to use it
//!
//! * To choose among instances of a service, a breaker for the whole is too coarse: give each
//!   instance its own.
//! * Against overload by one's own calls, limit rate or concurrency; a breaker acts only after
//!   the harm is done.
//! * Failures inside a response body that is still streaming come after the outcome; whoever
//!   reads the stream can hold a [`Permit`] of its own.
//!
//! # Sources
//!
//! The pattern is Michael Nygard's (*Release It!*, 2007). Consecutive failures or a windowed
//! rate, and a rate-limited probe that counts as failed, follow linkerd2-proxy's unified
//! breaker; ten sub-windows, Polly's rolling metrics and linkerd; a way out of a stuck half-open
//! state, Resilience4j's `maxWaitDurationInHalfOpenState`; time open that grows with repeated
//! failure, Envoy's outlier detection; classification as a trait of its own, linkerd and
//! tower-resilience. The generation in the state word is this crate's answer to
//! outcomes that arrive late.
//!
//! [`Outcome::Limited`]: bartizan_classify::Outcome::Limited

mod breaker;
mod circuit;
mod config;
mod error;
mod future;
mod layer;
mod padded;
mod permit;
mod service;
mod slot;
mod snapshot;
mod stripes;
mod sync;
mod ticks;
mod transition;
mod window;
mod word;

// Under its short name, so that tests can put one of their own in its place.
use bartizan_stripe as stripe;

pub use breaker::CircuitBreaker;
pub use config::{CircuitBreakerConfig, CircuitBreakerConfigBuilder, SlowCall};
pub use error::{CircuitOpen, Error, InvalidConfig};
pub use future::ResponseFuture;
pub use layer::CircuitBreakerLayer;
pub use permit::Permit;
pub use service::CircuitBreakerService;
pub use snapshot::Snapshot;
pub use transition::{Reason, State, Transition};

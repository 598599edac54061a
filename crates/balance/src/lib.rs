//! Load balancing without a worker and without a queue.
//!
//! A [`Balancer`] holds a snapshot of endpoints and chooses one of them by a [`Strategy`]. It is
//! a plain object: [`pick`](Balancer::pick) takes `&self`, answers at once, allocates nothing,
//! and all clones share what they learn. [`Balance`] is the same as a tower service.
//!
//! Endpoints that fail are ejected for a while ([`OutlierConfig`]), those that active probes
//! condemn are avoided, and when less than half would be left all are used: a gateway that
//! refuses everything helps nobody. A stream keeps its endpoint busy until its body ends.
//!
//! ```
//! use bartizan_balance::{Balance, Balancer, Strategy};
//! use bartizan_classify::ErrorsAreFailures;
//! use bartizan_clock::Clock;
//! use bartizan_discovery::parse_endpoints;
//! use std::convert::Infallible;
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let instances = parse_endpoints("http://10.0.0.1;weight=3, http://10.0.0.2")?;
//! let balancer = Balancer::builder(Strategy::WeightedRoundRobin, Clock::default()).build(
//!     &instances,
//!     |instance| {
//!         let id = instance.id().clone();
//!         service_fn(move |n: u32| {
//!             let reply = format!("{n} by {id}");
//!             async move { Ok::<_, Infallible>(reply) }
//!         })
//!     },
//! )?;
//! let service = Balance::new(balancer, ErrorsAreFailures);
//! assert_eq!(service.oneshot(7).await?, "7 by http://10.0.0.1");
//! # Ok(())
//! # }
//! ```
//!
//! # When not to use it
//!
//! In front of something that balances already, such as a Kubernetes service or a mesh: two
//! balancers in a row each see half of the truth. Give the one address to the client instead.

mod affinity;
mod balancer;
mod body;
mod claim;
mod completion;
mod cursor;
mod decaying;
mod endpoint;
mod error;
mod fleet;
mod follow;
mod future;
mod latency;
mod load;
mod outlier;
mod picked;
mod ring;
mod schedule;
mod score;
mod select;
mod service;
mod set;
mod strategy;
mod streak;
mod sync;
mod tried;

// Under its short name, so that tests can put one of their own in its place.
use bartizan_stripe as stripe;

pub use affinity::{Affinity, NoAffinity};
pub use balancer::{Balancer, BalancerBuilder};
pub use body::BusyBody;
pub use completion::{TrackCompletion, UntilBodyEnd, UntilResponse};
pub use endpoint::{Endpoint, EndpointSnapshot};
pub use error::{Error, InvalidBalance, NoEndpoints};
pub use follow::Follow;
pub use future::ResponseFuture;
pub use outlier::{InvalidOutlier, OutlierConfig, OutlierConfigBuilder};
pub use picked::{Busy, Picked};
pub use ring::hash_key;
pub use service::Balance;
pub use strategy::{Strategy, UnknownStrategy};
pub use tried::Tried;

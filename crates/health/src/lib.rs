//! Active health probes.
//!
//! A [`Checker`] asks every instance at an interval whether it is alive and tells whoever wants
//! to know when the answer changes. It never asks all at once: the first probes are spread out,
//! every interval is jittered, and only so many probes run at a time.
//!
//! An instance changes its [`Health`] after several answers in a row, not after one: two good
//! ones to become healthy, three bad ones to become unhealthy. Until then its health is
//! [`Unknown`](Health::Unknown), which counts as usable: a gateway that has just started serves.
//! An answer that is news is followed up soon, so a verdict takes hardly longer than one interval,
//! and whoever needs an instance that is thought dead can have it [probed
//! sooner](Checker::probe_soon).
//!
//! What "alive" means is a [`Probe`]: [`HttpProbe`] asks for a path, [`TcpProbe`] connects, and
//! any protocol can bring its own, written as a function or a type.
//!
//! ```
//! use bartizan_health::{Checker, Health, HealthConfig, ProbeResult, Target};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = HealthConfig::builder().interval(Duration::from_secs(10)).build()?;
//! let probe = |_: &Target| async { ProbeResult::Alive };
//! let checker = Checker::builder(config, probe)
//! #   .clock(bartizan_clock::Clock::tokio())
//!     .on_transition(|transition| println!("{} is {}", transition.id, transition.to))
//!     .spawn([Target::new("users-1", "http://10.0.0.1:8080".parse()?)]);
//!
//! let state = checker.state("users-1").expect("was just given");
//! assert_eq!(state.health(), Health::Unknown);
//! assert!(state.is_usable());
//! # tokio::time::sleep(Duration::from_secs(30)).await;
//! # assert_eq!(state.health(), Health::Healthy);
//! # Ok(())
//! # }
//! ```
//!
//! # When not to use it
//!
//! Where real traffic is steady, a balancer's outlier ejection notices a dead instance sooner
//! than any probe. Probes earn their keep on idle services and on instances that fail slowly.

mod checker;
mod concurrency;
mod config;
mod http_probe;
mod probe;
mod schedule;
mod state;
mod stats;
mod target;
mod tcp_probe;
mod transition;

pub use checker::{Checker, CheckerBuilder};
pub use concurrency::Concurrency;
pub use config::{HealthConfig, HealthConfigBuilder, InvalidHealth};
pub use http_probe::HttpProbe;
pub use probe::{Probe, ProbeResult};
pub use state::{Health, HealthState, HealthSummary};
pub use stats::CheckerStats;
pub use target::Target;
pub use tcp_probe::TcpProbe;
pub use transition::Transition;

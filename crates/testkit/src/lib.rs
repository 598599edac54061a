//! Test doubles that misbehave on purpose.
//!
//! * [`Probe`]: a service that panics when it is called without having been made ready, forgets
//!   its readiness when cloned (as `ConcurrencyLimit` and `Buffer` do), and counts everything.
//! * [`Upstream`]: a real HTTP server on a loopback socket that answers what a test scripts and
//!   records what it was asked, including the ways a server can die.
//! * [`Cluster`] and [`Engine`]: the API server of Kubernetes and the Docker engine, as far as
//!   instances are found there, behind a [`ScriptServer`].
//! * [`TokenIssuer`]: a real OAuth2 token endpoint with rotating refresh tokens.
//! * [`Log`]: what a thread logs, in memory.
//! * [`with_few_files`]: a process that soon has no file descriptor left.

mod few_files;
mod issuer;
mod log;
mod probe;
#[cfg(unix)]
mod script;
mod upstream;

pub use few_files::with_few_files;
pub use issuer::{IssuerRecord, TokenIssuer};
pub use log::Log;
pub use probe::{Probe, ProbeState};
#[cfg(unix)]
pub use script::{
    Answer, Asked, Cluster, Engine, Frames, Refusal, Script, ScriptBody, ScriptServer, Tap, respond,
};
pub use upstream::{Recorded, Reply, Upstream};

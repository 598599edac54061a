//! The gateway: front doors, and behind them one stack of layers for each service.
//!
//! [`Gateway`] is built from a [`Configuration`](bartizan_config::Configuration), which comes
//! from the environment or from a builder. Serve it with its own server, or put
//! [`Gateway::service`] into yours.
//!
//! Every call, whichever door it comes in by, passes the same stack: retry with a budget, rate
//! limit, circuit breaker, credential, balancing, and one pooled exchange with an instance that
//! takes no longer than it may. The layers are crates of their own; what stands here is their assembly and the
//! dialect of `/mcp/request`.
//!
//! # When not to use it
//!
//! For one backend with one policy, put the layers you need around your own client:
//! they know nothing of this crate.

mod body;
mod catalog;
mod cors;
mod current;
mod edge;
mod error;
mod front;
mod gateway;
mod ids;
mod manage;
mod mcp;
mod operation;
mod permit;
mod plan;
mod registries;
mod reload;
mod retiring;
mod room;
mod service;
mod shared;
mod works;

pub use edge::{Edge, EdgeFuture};
pub use front::mcp::StdioError;
pub use gateway::{Gateway, StartError};
pub use permit::{NotListable, check_listable};
pub use reload::{ReloadError, Reloaded};
pub use service::BuildError;
pub use works::{Survey, SurveyedFile};

//! What a registry says: services, where they run, and what is written beside that.

mod balancing;
mod board;
mod entry;
mod launch;
mod service;
mod state;
mod tool;
mod value;

pub use balancing::Balancing;
pub(crate) use board::Board;
pub use entry::{Entry, Recorded, Transport};
pub use launch::Launch;
pub use service::RegisteredService;
pub use state::{RegistryState, RegistryWatch};
pub use tool::Tool;
pub use value::{Registry, Remark};

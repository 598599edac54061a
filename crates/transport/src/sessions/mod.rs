//! What a replica keeps for each client session: a bounded table in memory.
//!
//! A client that goes away does not say so, and one that means harm opens sessions until the
//! memory is gone. So [`Sessions`] has a cap, and one for each owner; a session that nobody used
//! for some time ends, and none lives for ever. A session belongs to its owner: for everybody else it does not
//! exist.
//!
//! ```
//! use bartizan_clock::Clock;
//! use bartizan_transport::sessions::{SessionId, SessionLimits, Sessions};
//!
//! let sessions = Sessions::new(SessionLimits::default(), Clock::default())?;
//! let id = SessionId::random();
//! sessions.insert(id, b"alice", "her upstream connection")?;
//!
//! let session = sessions.get(&id, b"alice").unwrap();
//! assert_eq!(*session, "her upstream connection");
//! assert!(sessions.get(&id, b"mallory").is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When not to use it
//!
//! As the only place of what a session needs: another replica knows nothing of it, nor does this
//! one after a restart. What must survive belongs into the [sealed token](crate::seal), from
//! which the session can be inserted wherever its client turns up.

mod entry;
mod error;
mod id;
mod limits;
mod owners;
mod pace;
mod session;
mod shard;
mod sync;
mod table;
mod usage;
mod victims;

pub use error::{InsertError, InvalidLimits};
pub use id::SessionId;
pub use limits::SessionLimits;
pub use session::Session;
pub use table::Sessions;

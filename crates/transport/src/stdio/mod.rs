//! MCP servers that are child processes.
//!
//! [`spawn`] starts a [`Command`] in a process group of its own and hands back a [`Child`]: an
//! [`Outgoing`] half that writes one message a line, an [`Incoming`] half that reads one message
//! a line, and a [`Handle`] that knows how the process is.
//!
//! ```
//! use bartizan_transport::stdio::{self, Command, Limits};
//! use bytes::Bytes;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
//! # .block_on(async {
//! let child = stdio::spawn(&Command::new("cat"), &Limits::default())?;
//! let (outgoing, mut incoming, handle) = child.split();
//! outgoing.send(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)).await?;
//! let echo = incoming.next().await.expect("cat lives")?;
//! assert_eq!(echo, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
//!
//! let report = handle.stop().await;
//! assert!(report.status.is_some_and(|status| status.success()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # No process is left behind
//!
//! A child ends when [`Handle::stop`] or [`Handle::kill`] says so, and also when any of its three
//! parts is dropped, its output ends, or its input breaks. What then happens is the [shutdown of
//! the protocol][shutdown], extended to all its descendants:
//!
//! 1. Its standard input is closed, after what was queued. Most servers exit on that.
//! 2. After [`Limits::stop_grace`], the process group gets SIGTERM.
//! 3. After [`Limits::term_grace`], the process group gets SIGKILL.
//!
//! When the child itself has exited, with or without being asked, descendants that still hold its
//! standard error get SIGTERM and `term_grace`; those that do not, nothing can be heard of, and
//! they get SIGKILL at once. Only then is the child reaped. Until that moment the kernel keeps its
//! id, which is the group's id too, so that no signal can reach a stranger that was given the same
//! number. The group exists by the time [`spawn`] returns: the child joins it before it becomes
//! the program, and `spawn` waits for that.
//!
//! What is out of reach, because it needs the operating system's help:
//!
//! * A descendant that leaves the group by `setsid` or `setpgid`, as daemons do, is not followed.
//!   It cannot hold up anything: reading ends though it may hold the pipes open. Run the gateway
//!   in a container, or under systemd's `KillMode=control-group`, to have such processes end with it.
//! * If the gateway itself is killed by SIGKILL, nobody is left to send signals. The kernel closes
//!   the pipes: a child that reads its input sees the end of it, and one that writes gets SIGPIPE.
//!   One that does neither lives on. Linux's parent death signal is not used against that, since it
//!   is tied to the *thread* that started the child, and threads of a runtime come and go.
//! * If the runtime is dropped without waiting for [`Handle::exited`], the groups get SIGKILL
//!   from the destructors, without grace.
//!
//! # When not to use it
//!
//! For programs that are not servers, such as one that runs, prints and ends: use
//! [`tokio::process`]. The module needs Unix.
//!
//! [shutdown]: https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#stdio

mod child;
mod command;
mod error;
mod exit;
mod handle;
mod incoming;
mod lifecycle;
mod limits;
mod outgoing;
mod resolve;
mod restart;
mod shape;
mod state;
mod stderr;

pub use child::{Child, spawn};
pub use command::Command;
pub use error::{Closed, SpawnError, StdioError};
pub use exit::{Cause, ExitReport};
pub use handle::Handle;
pub use incoming::Incoming;
pub use limits::Limits;
pub use outgoing::Outgoing;
pub use restart::RestartPolicy;

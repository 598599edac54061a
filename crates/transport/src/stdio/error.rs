use std::{io, path::PathBuf};

use bytes::Bytes;
use rustix::io::Errno;
use thiserror::Error;

/// A child that could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no such program.
    #[error("program {program:?} not found")]
    NotFound {
        /// The program as it was given.
        program: PathBuf,
    },
    /// There is such a file, but it may not be executed, or it is not a program.
    #[error("{program:?} is not executable")]
    NotExecutable {
        /// The file that was found.
        program: PathBuf,
    },
    /// The program is a script, and what is to interpret it does not exist.
    #[error("the interpreter of {program:?} was not found")]
    NoInterpreter {
        /// The script that was found.
        program: PathBuf,
    },
    /// The working directory does not exist, is not a directory, or may not be entered.
    #[error("working directory {directory:?} cannot be used: {reason}")]
    WorkingDirectory {
        /// The directory as it was given.
        directory: PathBuf,
        /// What the operating system says of it.
        reason: io::Error,
    },
    /// The operating system refused.
    #[error("process could not be started: {0}")]
    Io(#[source] io::Error),
}

impl SpawnError {
    /// Whether there was no process because the operating system has no descriptor, no memory or
    /// no process left for one: that says nothing of the program.
    pub(crate) fn is_own_want(&self) -> bool {
        let Self::Io(error) = self else { return false };
        let errno = Errno::from_io_error(error);
        errno.is_some_and(|it| {
            [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN].contains(&it)
        })
    }
}

/// The child takes no more messages: it has ended, or is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the process takes no more messages")]
pub struct Closed;

/// What is wrong with the output of a child. The child is stopped, unless it is only a message that
/// is too long.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StdioError {
    /// A message is longer than [`Limits::max_message_bytes`](super::Limits::max_message_bytes). It
    /// is left out, and reading goes on with the next.
    #[error("message exceeds {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// How it begins.
        beginning: Bytes,
        /// How it ends, unless its beginning tells whose message it is.
        end: Bytes,
    },
    /// The output ended in the middle of a message.
    #[error("output ended within a message, after {length} bytes of it")]
    Truncated {
        /// How much of it there is.
        length: usize,
    },
    /// Reading failed.
    #[error("output cannot be read: {0}")]
    Io(#[from] io::Error),
}

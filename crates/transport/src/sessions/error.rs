use thiserror::Error;

/// Why there is no new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertError {
    /// There are as many sessions as there may be, and all are in use.
    #[error("all sessions that this server keeps are in use")]
    Full,
    /// The owner has as many sessions as it may have, and all are in use.
    #[error("all sessions that one caller may have are in use")]
    OwnerFull,
    /// Another owner has a session with this id.
    #[error("the session belongs to another caller")]
    Taken,
}

/// Limits under which every session ends at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("sessions must be allowed to live, and to be idle, for longer than nothing")]
pub struct InvalidLimits;

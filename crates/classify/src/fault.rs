use std::{convert::Infallible, time::Duration};

/// How far a request got before it failed, and on whose account.
///
/// This is what decides whether a request that must not run twice may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// No byte of the request left: the connection was refused, the name did not resolve, the
    /// handshake failed. Repeating is safe for every request.
    NotSent,
    /// The exchange broke after the request may have arrived: a reset, a closed connection, a
    /// truncated answer.
    Interrupted,
    /// Time ran out while waiting for the answer; the request may have arrived.
    TimedOut,
    /// One of our own layers refused before the service was asked: rate limit, open circuit,
    /// no instance. It says nothing about the service and repeating at once cannot help.
    Rejected {
        /// When it may be worth asking again, if the layer knows.
        retry_after: Option<Duration>,
    },
    /// The request itself was at fault, or the caller gave up; the service is not to blame.
    Caller,
}

/// An error that knows how far its request got.
///
/// Layers that wrap an inner error forward to it, so that the outermost layer still learns
/// what the connector saw.
pub trait Fault {
    /// How far the request got.
    fn fault(&self) -> FaultKind;
}

impl Fault for Infallible {
    fn fault(&self) -> FaultKind {
        match *self {}
    }
}

impl<E: Fault + ?Sized> Fault for Box<E> {
    fn fault(&self) -> FaultKind {
        (**self).fault()
    }
}

impl<E: Fault + ?Sized> Fault for &E {
    fn fault(&self) -> FaultKind {
        (**self).fault()
    }
}

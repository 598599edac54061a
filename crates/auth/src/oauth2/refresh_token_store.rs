use std::{fmt, future::Future, io, pin::Pin};

use crate::Secret;

/// Keeps the newest refresh token over a restart, so that a process does not come back with one
/// that has been replaced, for which issuers revoke the whole family.
///
/// [`RefreshTokenFile`](crate::RefreshTokenFile) is one. A cache loads once, before its first
/// refresh, and saves after each rotation, never two at a time.
pub trait RefreshTokenStore: fmt::Debug + Send + Sync + 'static {
    /// What was saved last, if anything was.
    ///
    /// An error keeps the cache from asking for a token, because the configured refresh token
    /// may be spent. It is tried again after the failure pause.
    fn load(&self) -> StoreFuture<'_, Option<SavedRefreshToken>>;

    /// Replaces what was saved, in one piece, and returns when it will survive a crash.
    ///
    /// An error does not keep the new token from being used; it is logged and shown in the
    /// cache's [`Snapshot`](crate::Snapshot).
    fn save(&self, token: SavedRefreshToken) -> StoreFuture<'_, ()>;
}

/// What a [`RefreshTokenStore`] does. Boxed so that a store can be chosen at run time; it is
/// awaited once a token.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A refresh token to survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRefreshToken {
    /// The one from the configuration, with which the rotation began. When the configuration
    /// holds another one, an operator has logged in anew and what was saved is void.
    pub configured: Secret,
    /// The newest one.
    pub current: Secret,
}

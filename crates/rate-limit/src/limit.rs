use std::{borrow::Borrow, fmt, hash::Hash, marker::PhantomData};

use crate::{Acquire, KeyedRateLimiter, Patience, RateLimiter};

/// Decides whether a request may pass: what a [`RateLimitLayer`](crate::RateLimitLayer) asks.
///
/// Implement it to ask several limiters about one request. A token that the first one gave is
/// spent even if the second refuses, so ask the one that refuses most first, which is mostly
/// the narrowest.
pub trait Limit<Req> {
    /// Takes a token for `request`, now or in the future that is returned.
    ///
    /// `patience` says what the call does when no token is there, and is to be called only
    /// then.
    fn acquire<F>(&self, request: &Req, patience: F) -> Acquire
    where
        F: FnOnce() -> Patience;
}

impl<Req> Limit<Req> for RateLimiter {
    #[inline(always)]
    fn acquire<F>(&self, _: &Req, patience: F) -> Acquire
    where
        F: FnOnce() -> Patience,
    {
        self.acquire_with(patience)
    }
}

/// A [`KeyedRateLimiter`] and the function that makes a request's key.
pub struct ByKey<K, F> {
    limiter: KeyedRateLimiter<K>,
    key: F,
}

impl<K, F> ByKey<K, F> {
    /// Limits by the key that `key` makes of a request.
    ///
    /// It is called for every request, so the key should be cheap to make: a number, an `Arc`.
    pub const fn new(limiter: KeyedRateLimiter<K>, key: F) -> Self {
        Self { limiter, key }
    }
}

impl<Req, K, F> Limit<Req> for ByKey<K, F>
where
    F: Fn(&Req) -> K,
    K: Clone + Eq + Hash,
{
    #[inline(always)]
    fn acquire<P>(&self, request: &Req, patience: P) -> Acquire
    where
        P: FnOnce() -> Patience,
    {
        self.limiter.acquire_with(&(self.key)(request), patience)
    }
}

impl<K, F: Clone> Clone for ByKey<K, F> {
    fn clone(&self) -> Self {
        Self {
            limiter: self.limiter.clone(),
            key: self.key.clone(),
        }
    }
}

impl<K, F> fmt::Debug for ByKey<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

/// A [`KeyedRateLimiter`] and the function that finds the key in a request.
///
/// A key that is known already is not copied.
pub struct ByKeyRef<K, Q: ?Sized, F> {
    limiter: KeyedRateLimiter<K>,
    key: F,
    borrowed: PhantomData<fn(&Q)>,
}

impl<K, Q: ?Sized, F> ByKeyRef<K, Q, F> {
    /// Limits by the key to which `key` points in a request.
    pub const fn new(limiter: KeyedRateLimiter<K>, key: F) -> Self {
        Self {
            limiter,
            key,
            borrowed: PhantomData,
        }
    }
}

impl<Req, K, Q, F> Limit<Req> for ByKeyRef<K, Q, F>
where
    F: Fn(&Req) -> &Q,
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    #[inline(always)]
    fn acquire<P>(&self, request: &Req, patience: P) -> Acquire
    where
        P: FnOnce() -> Patience,
    {
        self.limiter.acquire_with((self.key)(request), patience)
    }
}

impl<K, Q: ?Sized, F: Clone> Clone for ByKeyRef<K, Q, F> {
    fn clone(&self) -> Self {
        Self {
            limiter: self.limiter.clone(),
            key: self.key.clone(),
            borrowed: PhantomData,
        }
    }
}

impl<K, Q: ?Sized, F> fmt::Debug for ByKeyRef<K, Q, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKeyRef")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

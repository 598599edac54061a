use bartizan_rate_limit::{Acquire, Allowed, Limit, Patience, RateLimiter};

use super::Outbound;

/// A limit on calls. Who only listens makes none: while a server restarts, listeners come again and
/// again, and would spend what callers need. Nor is a notification one, an answer to a question or
/// the end of a session: that a call is no longer wanted must not wait behind calls.
#[derive(Clone, Debug)]
pub(crate) struct Calls(pub(crate) RateLimiter);

impl Limit<Outbound> for Calls {
    #[inline]
    fn acquire<F>(&self, outbound: &Outbound, patience: F) -> Acquire
    where
        F: FnOnce() -> Patience,
    {
        if !outbound.parts().is_call() {
            let limit = self.0.quota().burst();
            return Acquire::decided(Ok(Allowed {
                limit,
                remaining: limit,
            }));
        }
        self.0.acquire_with(patience)
    }
}

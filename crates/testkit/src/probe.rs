use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tower_service::Service;

/// A service that enforces tower's contract on whoever calls it.
///
/// Calling it without a `poll_ready` that returned `Ready(Ok)` on the same instance panics; a
/// clone starts unready; each readiness serves one call. The response is whatever the function
/// given to [`Probe::new`] returns as a future.
pub struct Probe<F> {
    respond: F,
    state: Arc<ProbeState>,
    ready: bool,
    /// How many times `poll_ready` answers `Pending` before it says yes.
    delay: usize,
    pending: usize,
}

/// What all clones of a [`Probe`] have seen together.
#[derive(Debug, Default)]
pub struct ProbeState {
    calls: AtomicUsize,
    clones: AtomicUsize,
    readied: AtomicUsize,
    completed: AtomicUsize,
    cancelled: AtomicUsize,
}

impl ProbeState {
    /// Calls made.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Clones taken.
    pub fn clones(&self) -> usize {
        self.clones.load(Ordering::SeqCst)
    }

    /// Times `poll_ready` said yes.
    pub fn readied(&self) -> usize {
        self.readied.load(Ordering::SeqCst)
    }

    /// Response futures that ran to their end.
    pub fn completed(&self) -> usize {
        self.completed.load(Ordering::SeqCst)
    }

    /// Response futures that were dropped before their end.
    pub fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }
}

impl<F> Probe<F> {
    /// A probe that answers each request with the future that `respond` makes of it.
    pub fn new(respond: F) -> Self {
        Self {
            respond,
            state: Arc::default(),
            ready: false,
            delay: 0,
            pending: 0,
        }
    }

    /// Answers `Pending` (and wakes at once) `times` times before each readiness.
    #[must_use]
    pub fn ready_after(mut self, times: usize) -> Self {
        self.delay = times;
        self
    }

    /// What all clones have seen together.
    pub fn state(&self) -> Arc<ProbeState> {
        Arc::clone(&self.state)
    }
}

impl<F: Clone> Clone for Probe<F> {
    fn clone(&self) -> Self {
        self.state.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            respond: self.respond.clone(),
            state: Arc::clone(&self.state),
            ready: false,
            delay: self.delay,
            pending: 0,
        }
    }
}

impl<F> fmt::Debug for Probe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("state", &self.state)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl<F, Fut, Req, Res, E> Service<Req> for Probe<F>
where
    F: FnMut(Req) -> Fut,
    Fut: Future<Output = Result<Res, E>> + Send + 'static,
    Res: 'static,
    E: 'static,
{
    type Response = Res;
    type Error = E;
    type Future = Pin<Box<dyn Future<Output = Result<Res, E>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if self.pending < self.delay {
            self.pending += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.ready {
            self.state.readied.fetch_add(1, Ordering::SeqCst);
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        assert!(self.ready, "called without being ready");
        self.ready = false;
        self.pending = 0;
        self.state.calls.fetch_add(1, Ordering::SeqCst);
        let response = (self.respond)(request);
        let watch = Watch {
            state: Arc::clone(&self.state),
            done: false,
        };
        // Boxed so that the probe can be named in tests; its cost does not matter.
        Box::pin(async move {
            let mut watch = watch;
            let result = response.await;
            watch.done = true;
            result
        })
    }
}

struct Watch {
    state: Arc<ProbeState>,
    done: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let counter = if self.done {
            &self.state.completed
        } else {
            &self.state.cancelled
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use super::*;

    #[tokio::test]
    async fn readiness_is_consumed_by_a_call_and_lost_by_a_clone() {
        let mut probe =
            Probe::new(|n: u32| async move { Ok::<_, Infallible>(n + 1) }).ready_after(2);
        poll_fn(|cx| probe.poll_ready(cx)).await.unwrap();
        assert!(!probe.clone().ready);
        assert_eq!(probe.call(1).await, Ok(2));
        assert!(!probe.ready);
        let state = probe.state();
        assert_eq!(
            (state.calls(), state.completed(), state.cancelled()),
            (1, 1, 0)
        );
    }

    #[tokio::test]
    async fn a_dropped_call_counts_as_cancelled() {
        let mut probe = Probe::new(|()| std::future::pending::<Result<(), Infallible>>());
        poll_fn(|cx| probe.poll_ready(cx)).await.unwrap();
        drop(probe.call(()));
        assert_eq!(probe.state().cancelled(), 1);
    }
}

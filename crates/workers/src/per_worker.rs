use std::{fmt, num::NonZeroUsize};

use thread_local::ThreadLocal;

use crate::workers;

/// A value for each worker that asks for one, and one for all other threads.
///
/// A worker's is made when it first asks, and kept until this is dropped. This should not outlive
/// its workers: one that is started after another has ended may find what that one left.
pub struct PerWorker<T: Send> {
    elsewhere: T,
    own: ThreadLocal<T>,
}

impl<T: Send> PerWorker<T> {
    /// Begins with the value of the threads that are no workers.
    #[must_use]
    pub fn new(elsewhere: T) -> Self {
        Self {
            elsewhere,
            own: ThreadLocal::new(),
        }
    }

    /// This thread's value. If it is a worker that has none yet, `make` makes it, and is told
    /// how many workers there are to share what may be had.
    #[inline]
    pub fn get(&self, make: impl FnOnce(NonZeroUsize) -> T) -> &T {
        match workers::fellows() {
            Some(count) => self.own.get_or(|| make(count)),
            None => &self.elsewhere,
        }
    }
}

impl<T: Send> fmt::Debug for PerWorker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerWorker").finish_non_exhaustive()
    }
}

use std::fmt;

use thread_local::ThreadLocal;

use crate::workers;

/// A value for each worker that asks for one, and one for all other threads.
///
/// A worker's is made when it first asks, and kept until this is dropped.
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

    /// This thread's value, made by `make` if it is a worker that has none yet.
    #[inline]
    pub fn get(&self, make: impl FnOnce() -> T) -> &T {
        if workers::is_worker() {
            self.own.get_or(make)
        } else {
            &self.elsewhere
        }
    }
}

impl<T: Send> fmt::Debug for PerWorker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerWorker").finish_non_exhaustive()
    }
}

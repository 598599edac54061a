//! Whether a session is idle, in every interleaving of two threads.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

#[path = "../src/sessions/usage.rs"]
mod usage;

use loom::{sync::Arc, thread};
use usage::Usage;

#[test]
fn whoever_sees_that_nobody_is_left_sees_when_they_left() {
    loom::model(|| {
        let usage = Arc::new(Usage::new());
        let leaving = Arc::clone(&usage);
        let thread = thread::spawn(move || leaving.end(7));
        assert!(matches!(usage.idle_since(), None | Some(7)));
        thread.join().unwrap();
        assert_eq!(usage.idle_since(), Some(7));
    });
}

#[test]
fn of_two_that_leave_the_later_counts() {
    loom::model(|| {
        let usage = Arc::new(Usage::new());
        usage.begin();
        let leaving = Arc::clone(&usage);
        let thread = thread::spawn(move || leaving.end(8));
        usage.end(7);
        assert!(matches!(usage.idle_since(), None | Some(8)));
        thread.join().unwrap();
        assert_eq!(usage.idle_since(), Some(8));
    });
}

//! The state word of a bucket under every order in which two threads can touch it.

#[path = "../src/cell.rs"]
mod cell;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use std::{num::NonZeroU32, time::Duration};

use cell::{Cell, Look};
use governor::{
    Quota, RateLimiter, clock::FakeRelativeClock, middleware::StateInformationMiddleware,
};
use loom::{sync::Arc, thread};

type Bucket = RateLimiter<Look, Cell, FakeRelativeClock, StateInformationMiddleware>;

fn bucket(burst: u32) -> Bucket {
    let quota = Quota::with_period(Duration::from_secs(1)).unwrap();
    let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap());
    RateLimiter::new(quota, Cell::new(), FakeRelativeClock::default())
}

#[test]
fn a_token_is_taken_once() {
    loom::model(|| {
        let bucket = Arc::new(bucket(3));
        let threads = [(); 2].map(|()| {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || {
                let taken = [(); 2].map(|()| bucket.check_key(&Look::Take));
                taken.iter().filter(|taken| taken.is_ok()).count()
            })
        });
        let taken: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!(taken, 3);
    });
}

#[test]
fn looking_takes_nothing() {
    loom::model(|| {
        let bucket = Arc::new(bucket(2));
        let looking = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || {
                let seen = [(); 2].map(|()| bucket.check_key(&Look::Peek));
                let left = seen.map(|seen| seen.map(|state| state.remaining_burst_capacity()));
                // It sees the tokens go, one after the other, and never come back.
                assert!(left.iter().flatten().is_sorted_by(|a, b| a >= b));
            })
        };
        let taken = [(); 3].map(|()| bucket.check_key(&Look::Take).is_ok());
        assert_eq!(taken, [true, true, false]);
        looking.join().unwrap();
    });
}

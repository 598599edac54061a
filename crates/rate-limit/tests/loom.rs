//! The state word of a bucket under every order in which two threads can touch it.

#[path = "../src/cell.rs"]
mod cell;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use cell::Cell;
use loom::{sync::Arc, thread};

/// Takes one of so many tokens; what is left is the state.
fn take(cell: &Cell) -> Result<(), ()> {
    cell.update(|left| match left {
        0 => Err(()),
        left => Ok(((), left - 1)),
    })
}

#[test]
fn a_token_is_taken_once() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(3));
        let threads = [(); 2].map(|()| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let taken = [(); 2].map(|()| take(&cell));
                taken.iter().filter(|taken| taken.is_ok()).count()
            })
        });
        let taken: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!((taken, cell.full_at()), (3, 0));
    });
}

#[test]
fn looking_takes_nothing_and_sees_no_token_twice() {
    loom::model(|| {
        let cell = Arc::new(Cell::new(2));
        let looking = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let seen = [(); 2].map(|()| cell.full_at());
                assert!(seen[0] >= seen[1]);
            })
        };
        let taken = [(); 3].map(|()| take(&cell).is_ok());
        assert_eq!(taken, [true, true, false]);
        looking.join().unwrap();
    });
}

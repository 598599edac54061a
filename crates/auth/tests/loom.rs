//! The right to renew a token, in every interleaving of two threads.

mod sync {
    pub(crate) use loom::sync::atomic;
}

#[path = "../src/oauth2/renewal.rs"]
mod renewal;

use loom::{sync::Arc, thread};
use renewal::Renewal;

#[test]
fn one_of_two_gets_the_right_to_renew() {
    loom::model(|| {
        let renewal = Arc::new(Renewal::new(10));
        let other = Arc::clone(&renewal);
        let thread = thread::spawn(move || other.claim(10));
        let mine = renewal.claim(11);
        let theirs = thread.join().unwrap();
        assert!(mine ^ theirs);
        assert!(!renewal.is_due(12) && !renewal.claim(12));
    });
}

#[test]
fn a_right_that_is_given_back_is_claimed_once_more() {
    loom::model(|| {
        let renewal = Arc::new(Renewal::new(10));
        let other = Arc::clone(&renewal);
        let thread = thread::spawn(move || {
            let claimed = other.claim(10);
            if claimed {
                other.rearm(20);
            }
            claimed
        });
        let mine = renewal.claim(20);
        let theirs = thread.join().unwrap();
        // The other may have had it and given it back before, so that both got it in turn.
        assert!(mine || theirs);
        assert_eq!(renewal.is_due(20), !mine);
    });
}

#[test]
fn nothing_is_due_before_its_time() {
    loom::model(|| {
        let renewal = Renewal::new(10);
        assert!(!renewal.is_due(9) && !renewal.claim(9));
        assert!(renewal.is_due(10) && renewal.claim(10));
    });
}

//! What sealing and opening a token costs in memory: the token, and the payload.

use bartizan_transport::seal::{Keys, Purpose};

#[test]
fn a_token_is_sealed_and_opened_with_one_allocation_each() {
    let keys = Keys::random();
    let payload = [7; 200];
    let mut token = String::new();
    let sealing = allocation_counter::measure(|| {
        token = keys.seal(Purpose::Session, b"alice", 100, &payload);
    });
    assert_eq!(sealing.count_total, 1, "{sealing:?}");

    let opening = allocation_counter::measure(|| {
        let opened = keys.open(Purpose::Session, b"alice", 0, &token).unwrap();
        assert_eq!(opened.payload(), payload);
    });
    assert_eq!(opening.count_total, 1, "{opening:?}");
}

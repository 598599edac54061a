//! What finding a session costs in memory: nothing.

use bartizan_clock::Clock;
use bartizan_transport::sessions::{SessionId, SessionLimits, Sessions};

#[test]
fn a_session_is_found_without_allocating() {
    let sessions = Sessions::new(SessionLimits::default(), Clock::counter()).unwrap();
    let id = SessionId::random();
    drop(sessions.insert(id, b"alice", 1).unwrap());
    let cost = allocation_counter::measure(|| {
        assert!(sessions.get(&id, b"alice").is_some());
        assert!(sessions.get(&id, b"bob").is_none());
    });
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

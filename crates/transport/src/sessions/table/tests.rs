use std::{num::NonZeroUsize, sync::Barrier, thread, time::Duration};

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const IDLE: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(3600);

fn limits(max_sessions: usize, max_per_owner: usize) -> SessionLimits {
    SessionLimits {
        max_sessions: NonZeroUsize::new(max_sessions).unwrap(),
        max_per_owner: NonZeroUsize::new(max_per_owner).unwrap(),
        idle: IDLE,
        lifetime: LIFETIME,
    }
}

fn sessions<T>(max_sessions: usize, max_per_owner: usize) -> Sessions<T> {
    Sessions::new(limits(max_sessions, max_per_owner), Clock::tokio()).unwrap()
}

fn id(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

/// All that the table holds agrees with its length.
fn audit<T>(sessions: &Sessions<T>) -> usize {
    let table = &*sessions.0;
    let mut in_shards = 0;
    for shard in &table.shards {
        shard.each(|entry| {
            in_shards += 1;
            assert!(table.owners.part(&entry.owner).holds(entry));
        });
    }
    assert_eq!(table.owners.total(), in_shards);
    assert_eq!(sessions.len(), in_shards);
    in_shards
}

#[tokio::test(start_paused = true)]
async fn a_session_is_found_by_its_owner() {
    let sessions = sessions(10, 10);
    let inserted = sessions.insert(id(1), b"alice", "hers").unwrap();
    assert_eq!(
        (*inserted, inserted.id(), inserted.owner()),
        ("hers", id(1), &b"alice"[..])
    );
    assert_eq!(*sessions.get(&id(1), b"alice").unwrap(), "hers");
    assert!(sessions.get(&id(2), b"alice").is_none());
    assert_eq!(*sessions.remove(&id(1), b"alice").unwrap(), "hers");
    assert!(sessions.get(&id(1), b"alice").is_none());
    assert!(sessions.remove(&id(1), b"alice").is_none());
    assert_eq!(*inserted, "hers", "whoever uses it may go on");
    assert_eq!(audit(&sessions), 0);
}

/// Lesson 17: a session is bound to its principal, on the fast path too.
#[tokio::test(start_paused = true)]
async fn a_session_does_not_exist_for_others() {
    let sessions = sessions(10, 10);
    drop(sessions.insert(id(1), b"alice", "hers").unwrap());
    assert!(sessions.get(&id(1), b"mallory").is_none());
    assert!(sessions.remove(&id(1), b"mallory").is_none());
    let taken = sessions.insert(id(1), b"mallory", "his").unwrap_err();
    assert_eq!(taken, InsertError::Taken);
    assert_eq!(*sessions.get(&id(1), b"alice").unwrap(), "hers");
    assert_eq!(audit(&sessions), 1);
}

#[tokio::test(start_paused = true)]
async fn inserting_again_gives_what_is_there() {
    let sessions = sessions(10, 10);
    drop(sessions.insert(id(1), b"alice", "first").unwrap());
    assert_eq!(
        *sessions.insert(id(1), b"alice", "second").unwrap(),
        "first"
    );
    assert_eq!(audit(&sessions), 1);

    advance(IDLE).await;
    assert_eq!(*sessions.insert(id(1), b"alice", "third").unwrap(), "third");
    assert_eq!(audit(&sessions), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_nobody_used_it_for_some_time() {
    let sessions = sessions(10, 10);
    drop(sessions.insert(id(1), b"alice", ()).unwrap());
    for _ in 0..5 {
        advance(IDLE - Duration::from_nanos(1)).await;
        assert!(sessions.get(&id(1), b"alice").is_some(), "it was used");
    }
    advance(IDLE).await;
    assert!(sessions.get(&id(1), b"alice").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_keeps_its_session() {
    let sessions = sessions(10, 10);
    let stream = sessions.insert(id(1), b"alice", ()).unwrap();
    advance(IDLE * 10).await;
    assert_eq!(sessions.sweep(Clock::tokio().now()), 0);
    let request = sessions.get(&id(1), b"alice").unwrap();
    let other = stream.clone();
    drop((stream, request));
    advance(IDLE * 10).await;
    drop(other);

    advance(IDLE - Duration::from_nanos(1)).await;
    assert_eq!(
        sessions.sweep(Clock::tokio().now()),
        0,
        "idle since the stream closed"
    );
    advance(Duration::from_nanos(1)).await;
    assert_eq!(sessions.sweep(Clock::tokio().now()), 1);
    assert_eq!(audit(&sessions), 0);
}

#[tokio::test(start_paused = true)]
async fn no_session_lives_for_ever() {
    let sessions = sessions(10, 10);
    let stream = sessions.insert(id(1), b"alice", ()).unwrap();
    advance(LIFETIME - Duration::from_nanos(1)).await;
    assert!(sessions.get(&id(1), b"alice").is_some());
    advance(Duration::from_nanos(1)).await;
    assert!(sessions.get(&id(1), b"alice").is_none());
    assert_eq!(sessions.sweep(Clock::tokio().now()), 1);
    drop(stream);
    assert_eq!(audit(&sessions), 0);
}

/// Lesson 19: sessions leak.
#[tokio::test(start_paused = true)]
async fn two_thousand_abandoned_sessions_leave_nothing() {
    let sessions = sessions(10_000, 10_000);
    let kept = Arc::new(());
    let open = || {
        for number in 0..2_000_u32 {
            let owner = (number % 7).to_string();
            let session = sessions.insert(SessionId::random(), owner.as_bytes(), Arc::clone(&kept));
            drop(session.unwrap());
        }
    };
    let nothing_is_left = || {
        assert_eq!(Arc::strong_count(&kept), 1);
        assert_eq!(audit(&sessions), 0);
        let room: usize = sessions.0.shards.iter().map(Shard::capacity).sum();
        assert!(room < 200, "{room}");
    };
    open();
    assert_eq!(audit(&sessions), 2_000);
    advance(IDLE).await;
    assert_eq!(sessions.sweep(Clock::tokio().now()), 2_000);
    nothing_is_left();

    // Without anybody who sweeps, those who use the table do.
    open();
    for _ in 0..6 {
        advance(IDLE / 4).await;
        assert!(sessions.get(&id(1), b"alice").is_none());
    }
    nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_makes_room() {
    let sessions = sessions(3, 3);
    for number in 1..=3 {
        drop(sessions.insert(id(number), &[number], number).unwrap());
        advance(Duration::from_secs(1)).await;
    }
    drop(sessions.get(&id(1), &[1]).unwrap());
    advance(Duration::from_secs(1)).await;
    let fourth = sessions.insert(id(4), &[4], 4).unwrap();
    assert!(sessions.get(&id(2), &[2]).is_none(), "idle for longest");
    let first = sessions.get(&id(1), &[1]).unwrap();
    let third = sessions.get(&id(3), &[3]).unwrap();
    assert_eq!(audit(&sessions), 3);

    let full = sessions.insert(id(5), &[5], 5).unwrap_err();
    assert_eq!(full, InsertError::Full, "all are in use");
    drop(third);
    let full = sessions.insert(id(5), &[5], 5).unwrap_err();
    assert_eq!(
        full,
        InsertError::Full,
        "it is not looked for somebody idle at once"
    );
    advance(Duration::from_millis(100)).await;
    drop(sessions.insert(id(5), &[5], 5).unwrap());
    assert!(sessions.get(&id(3), &[3]).is_none());
    drop((first, fourth));
    assert_eq!(audit(&sessions), 3);
}

#[tokio::test(start_paused = true)]
async fn sessions_are_ended_for_what_they_keep() {
    let sessions = sessions(5, 5);
    for number in 1..=5 {
        drop(sessions.insert(id(number), &[1], number).unwrap());
        advance(Duration::from_secs(1)).await;
    }
    let held = sessions.get(&id(4), &[1]).unwrap();
    assert_eq!(sessions.end_those(|number| number % 2 == 0), 2);
    assert_eq!(*held, 4);
    assert!(sessions.get(&id(4), &[1]).is_none(), "one in use, too");
    assert_eq!(audit(&sessions), 3);

    let third = sessions.get(&id(3), &[1]).unwrap();
    assert!(sessions.end_longest_idle());
    assert!(sessions.get(&id(1), &[1]).is_none());
    assert!(sessions.end_longest_idle());
    assert!(!sessions.end_longest_idle(), "it is in use");
    drop(third);
    assert_eq!(audit(&sessions), 1);
}

/// One look through a large table finds several; they must still go in turn.
#[tokio::test(start_paused = true)]
async fn those_that_make_room_go_in_turn() {
    let sessions = sessions(200, 200);
    for number in 0..200 {
        drop(sessions.insert(id(number), b"alice", ()).unwrap());
        advance(Duration::from_millis(1)).await;
    }
    let mut rest = Vec::from_iter(0..200_u8);
    for round in 0..20 {
        // One is used again just before its turn, and is spared.
        if round == 1 {
            drop(sessions.get(&id(rest[0]), b"alice").unwrap());
            rest.rotate_left(1);
        }
        drop(sessions.insert(SessionId::random(), b"bob", ()).unwrap());
        rest.remove(0);
        advance(Duration::from_millis(1)).await;
        // Looked at without using them, which would change whose turn it is.
        let mut found = Vec::new();
        for shard in &sessions.0.shards {
            shard.each(|entry| {
                if *entry.owner == *b"alice" {
                    found.push(entry.id.as_bytes()[0]);
                }
            });
        }
        found.sort_unstable();
        let mut expected = rest.clone();
        expected.sort_unstable();
        assert_eq!(found, expected, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_makes_room_for_itself() {
    let sessions = sessions(10, 2);
    drop(sessions.insert(id(9), b"bob", 9).unwrap());
    advance(Duration::from_secs(1)).await;
    for number in 1..=2 {
        drop(sessions.insert(id(number), b"alice", number).unwrap());
        advance(Duration::from_secs(1)).await;
    }
    let third = sessions.insert(id(3), b"alice", 3).unwrap();
    assert!(sessions.get(&id(1), b"alice").is_none());
    assert!(sessions.get(&id(9), b"bob").is_some());
    let second = sessions.get(&id(2), b"alice").unwrap();
    let full = sessions.insert(id(4), b"alice", 4).unwrap_err();
    assert_eq!(full, InsertError::OwnerFull);
    assert_eq!(audit(&sessions), 3);
    drop((second, third));
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_dropped_under_no_lock() {
    struct Kept(Sessions<Kept>);
    impl Drop for Kept {
        fn drop(&mut self) {
            for number in 0..=255 {
                assert!(self.0.get(&id(number), b"nobody").is_none());
                assert!(self.0.remove(&id(number), b"nobody").is_none());
            }
            let sweep = self.0.sweep(Instant::from_nanos(0));
            assert_eq!(sweep, 0);
        }
    }
    let sessions = sessions(2, 2);
    let insert = |number, owner: &[u8]| {
        let kept = Kept(sessions.clone());
        sessions.insert(id(number), owner, kept).map(drop)
    };
    insert(1, b"alice").unwrap();
    insert(1, b"alice").unwrap();
    assert_eq!(insert(1, b"bob"), Err(InsertError::Taken));
    insert(2, b"alice").unwrap();
    insert(3, b"alice").unwrap();
    insert(4, b"bob").unwrap();
    drop(sessions.remove(&id(4), b"bob"));
    advance(IDLE).await;
    sessions.sweep(Clock::tokio().now());
    assert_eq!(audit(&sessions), 0);
}

#[test]
fn limits_of_nothing_are_refused() {
    for wrong in [
        SessionLimits {
            idle: Duration::ZERO,
            ..SessionLimits::default()
        },
        SessionLimits {
            lifetime: Duration::ZERO,
            ..SessionLimits::default()
        },
    ] {
        assert_eq!(
            Sessions::<()>::new(wrong, Clock::tokio()).unwrap_err(),
            InvalidLimits
        );
    }
}

/// Eight first calls at once create one session.
#[test]
fn of_several_that_add_the_same_session_one_does() {
    for round in 0..200 {
        let sessions = Sessions::new(limits(100, 100), Clock::counter()).unwrap();
        let barrier = Barrier::new(8);
        let got: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let (sessions, barrier) = (&sessions, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        *sessions.insert(id(round), b"alice", number).unwrap()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(got.iter().all(|number| number == &got[0]), "{got:?}");
        assert_eq!(audit(&sessions), 1);
    }
}

#[test]
fn threads_at_the_caps_leave_the_table_in_order() {
    let kept = Arc::new(());
    let sessions = Sessions::new(limits(20, 8), Clock::counter()).unwrap();
    thread::scope(|scope| {
        for seed in 0..2_u64 {
            let (sessions, kept) = (&sessions, &kept);
            scope.spawn(move || {
                let mut random = seed + 1;
                let mut held = Vec::new();
                for _ in 0..20_000 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let owner = [(random >> 8) as u8 % 4];
                    let id = id((random >> 16) as u8 % 40);
                    match random % 8 {
                        0..4 => held.extend(sessions.insert(id, &owner, Arc::clone(kept))),
                        4 | 5 => held.extend(sessions.get(&id, &owner)),
                        6 => drop(sessions.remove(&id, &owner)),
                        _ => {
                            sessions.sweep(Instant::from_nanos(0));
                        }
                    }
                    assert!(sessions.len() <= 20);
                    if held.len() > 6 {
                        held.clear();
                    }
                }
            });
        }
    });
    assert!(audit(&sessions) <= 20);
    let later = Clock::counter().now() + LIFETIME;
    sessions.sweep(later);
    assert_eq!(audit(&sessions), 0);
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8),
    Get(u8, u8),
    Remove(u8, u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let pair = || (0..8_u8, 0..2_u8);
    prop_oneof![
        3 => pair().prop_map(|(id, owner)| Step::Insert(id, owner)),
        2 => pair().prop_map(|(id, owner)| Step::Get(id, owner)),
        1 => pair().prop_map(|(id, owner)| Step::Remove(id, owner)),
        1 => (1..30_u8).prop_map(Step::Wait),
    ]
}

proptest! {
    /// A list, searched from one end to the other, says what the table must do.
    #[test]
    fn it_behaves_like_a_list(steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (max, max_per_owner) = (4, 3);
            let sessions = sessions(max, max_per_owner);
            // Number, owner, second of last use; the longest idle first.
            let mut list: Vec<(u8, u8, u64)> = Vec::new();
            let mut now = 0_u64;
            for step in steps {
                // Nothing happens at the same time, so that the longest idle is one.
                advance(Duration::from_secs(1)).await;
                now += 1;
                list.retain(|session| now - session.2 < IDLE.as_secs());
                let place = |list: &[(u8, u8, u64)], id| list.iter().position(|session| session.0 == id);
                match step {
                    Step::Insert(number, owner) => {
                        let inserted = sessions.insert(id(number), &[owner], ()).map(drop);
                        if let Some(place) = place(&list, number) {
                            if list[place].1 != owner {
                                prop_assert_eq!(inserted, Err(InsertError::Taken));
                                continue;
                            }
                            list.remove(place);
                        } else {
                            let of_owner = |session: &(u8, u8, u64)| session.1 == owner;
                            if list.iter().filter(|session| of_owner(session)).count() == max_per_owner {
                                let longest = list.iter().position(of_owner).unwrap();
                                list.remove(longest);
                            } else if list.len() == max {
                                list.remove(0);
                            }
                        }
                        prop_assert_eq!(inserted, Ok(()));
                        list.push((number, owner, now));
                    }
                    Step::Get(number, owner) => {
                        let found = sessions.get(&id(number), &[owner]).is_some();
                        let place = place(&list, number).filter(|&place| list[place].1 == owner);
                        prop_assert_eq!(found, place.is_some());
                        if let Some(place) = place {
                            list.remove(place);
                            list.push((number, owner, now));
                        }
                    }
                    Step::Remove(number, owner) => {
                        let found = sessions.remove(&id(number), &[owner]).is_some();
                        let place = place(&list, number).filter(|&place| list[place].1 == owner);
                        prop_assert_eq!(found, place.is_some());
                        place.map(|place| list.remove(place));
                    }
                    Step::Wait(seconds) => {
                        advance(Duration::from_secs(seconds.into())).await;
                        now += u64::from(seconds);
                        // The table may still hold what is over, and would make room without need.
                        sessions.sweep(Clock::tokio().now());
                    }
                }
            }
            Ok(())
        })?;
    }
}

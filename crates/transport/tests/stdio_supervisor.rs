//! One child at a time, again when it is gone, not too often.

#[allow(dead_code, reason = "shared with the other tests of stdio")]
#[path = "stdio/processes.rs"]
mod processes;

use std::time::Duration;

use bartizan_backoff::{Backoff, Jitter};
use bartizan_clock::Clock;
use bartizan_transport::stdio::{Cause, Command, RestartPolicy, SpawnError, Supervisor};

use crate::processes::{eventually, group, limits, message, shell, soon};

const PAUSE: Duration = Duration::from_millis(50);

fn policy(stable_after: Duration, flapping_after: u32) -> RestartPolicy {
    RestartPolicy {
        backoff: Backoff::linear(PAUSE).jitter(Jitter::None).build().unwrap(),
        stable_after,
        flapping_after,
    }
}

fn supervisor(script: &str, stable_after: Duration, flapping_after: u32) -> Supervisor {
    Supervisor::new(
        shell(script),
        limits(),
        policy(stable_after, flapping_after),
    )
}

const NEVER: Duration = Duration::from_secs(1000);

/// Lesson 19: one child a key.
#[tokio::test]
async fn there_is_one_child_at_a_time() {
    let supervisor = supervisor("exec cat", NEVER, 5);
    assert!(supervisor.last_exit().is_none());
    let child = soon(supervisor.connect()).await.unwrap();
    let error = soon(supervisor.connect()).await.unwrap_err();
    assert!(matches!(error, SpawnError::Running { pid } if pid == child.handle().id()));

    let id = child.handle().id();
    drop(child);
    let next = soon(supervisor.connect()).await.unwrap();
    assert!(
        group(id).is_empty(),
        "the one before is gone before the next is there"
    );
    assert_eq!(supervisor.last_exit(), None);
    let (outgoing, mut incoming, _handle) = next.split();
    outgoing.send(message("{}")).await.unwrap();
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), "{}");
}

#[tokio::test]
async fn a_child_that_was_stopped_may_start_again_at_once() {
    let supervisor = supervisor("exec cat", NEVER, 1);
    for _ in 0..5 {
        let child = soon(supervisor.connect()).await.unwrap();
        soon(child.handle().stop()).await;
        assert_eq!(supervisor.last_exit().unwrap().cause, Cause::Stopped);
    }
}

#[tokio::test]
async fn quick_deaths_are_spaced_and_then_refused() {
    let clock = Clock::counter();
    let supervisor = supervisor("exit 3", NEVER, 3);
    let start = clock.now();
    for _ in 0..3 {
        let child = soon(supervisor.connect()).await.unwrap();
        soon(child.handle().exited()).await;
    }
    assert!(clock.now() - start >= PAUSE * 3, "one pause, then two");
    let error = soon(supervisor.connect()).await.unwrap_err();
    let SpawnError::Flapping {
        deaths: 3,
        retry_after,
    } = error
    else {
        panic!("{error:?}");
    };
    assert!(retry_after <= PAUSE * 3 && !retry_after.is_zero());
    assert_eq!(
        supervisor.last_exit().unwrap().status.unwrap().code(),
        Some(3)
    );

    // Asking does not put it off.
    tokio::time::sleep(retry_after).await;
    let child = soon(supervisor.connect()).await.unwrap();
    soon(child.handle().exited()).await;
    let error = soon(supervisor.connect()).await.unwrap_err();
    assert!(
        matches!(error, SpawnError::Flapping { deaths: 4, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_long_life_makes_up_for_earlier_deaths() {
    let directory = tempfile::tempdir().unwrap();
    let fixed = directory.path().join("fixed");
    let script = format!("[ -e {} ] && sleep 0.3; exit 1", fixed.display());
    let supervisor = supervisor(&script, Duration::from_millis(200), 2);
    for _ in 0..2 {
        let child = soon(supervisor.connect()).await.unwrap();
        soon(child.handle().exited()).await;
    }
    let error = soon(supervisor.connect()).await.unwrap_err();
    assert!(
        matches!(error, SpawnError::Flapping { deaths: 2, .. }),
        "{error:?}"
    );

    std::fs::write(&fixed, "").unwrap();
    tokio::time::sleep(PAUSE * 2).await;
    let child = soon(supervisor.connect()).await.unwrap();
    soon(child.handle().exited()).await;
    std::fs::remove_file(&fixed).unwrap();
    let child = soon(supervisor.connect()).await.unwrap();
    soon(child.handle().exited()).await;
    assert!(
        soon(supervisor.connect()).await.is_ok(),
        "one death, not three"
    );
}

#[tokio::test]
async fn a_connect_that_gives_up_starts_nothing_and_blocks_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let starts = directory.path().join("starts");
    let script = format!("echo x >> {}; exit 1", starts.display());
    let supervisor = supervisor(&script, NEVER, 100);
    let child = soon(supervisor.connect()).await.unwrap();
    soon(child.handle().exited()).await;
    for _ in 0..3 {
        let given_up = tokio::time::timeout(Duration::from_millis(5), supervisor.connect()).await;
        assert!(given_up.is_err());
    }
    let count = || std::fs::read_to_string(&starts).unwrap().lines().count();
    assert_eq!(count(), 1);
    let child = soon(supervisor.connect()).await.unwrap();
    soon(child.handle().exited()).await;
    eventually("the second start", || count() == 2).await;
}

/// Lesson 19 and the eight first calls of Kuadrant 990: one of them starts the child.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_connects_one_starts_a_child() {
    let supervisor = std::sync::Arc::new(supervisor("exec cat", NEVER, 5));
    let connects: Vec<_> = (0..8)
        .map(|_| {
            let supervisor = supervisor.clone();
            tokio::spawn(async move { supervisor.connect().await })
        })
        .collect();
    let mut children = Vec::new();
    for connect in connects {
        match soon(connect).await.unwrap() {
            Ok(child) => children.push(child),
            Err(error) => assert!(matches!(error, SpawnError::Running { .. }), "{error:?}"),
        }
    }
    assert_eq!(children.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_started_is_said_every_time() {
    let missing = Command::new("/no/such/server");
    let supervisor = Supervisor::new(missing, limits(), RestartPolicy::default());
    for _ in 0..10 {
        let error = soon(supervisor.connect()).await.unwrap_err();
        assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
    }
}

//! How a child ends, asked or not, willing or not, alone or with descendants.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use bartizan_clock::Clock;
use bartizan_transport::stdio::{
    Cause, Closed, Handle, Incoming, Limits, Outgoing, SpawnError, spawn,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::processes::{eventually, gone, group, limits, message, processes, shell, soon, start};

/// A child that has got as far as `echo '{}'`.
async fn ready(script: &str) -> (Outgoing, Incoming, Handle) {
    let (outgoing, mut incoming, handle) = start(script).split();
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), "{}");
    (outgoing, incoming, handle)
}

#[tokio::test]
async fn a_server_that_exits_when_its_input_ends_is_not_signalled() {
    let child = start("cat; exit 7");
    let report = soon(child.handle().stop()).await;
    assert_eq!(report.status.unwrap().code(), Some(7));
    assert_eq!(report.cause, Cause::Stopped);
    assert!(!child.handle().is_running());
    gone(report.pid).await;
}

#[tokio::test]
async fn one_that_ignores_its_input_is_terminated() {
    let child = start("exec sleep 1000");
    let report = soon(child.handle().stop()).await;
    assert_eq!(report.status.unwrap().signal(), Some(15));
    assert!(report.uptime >= limits().stop_grace);
    gone(report.pid).await;
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed_with_its_descendants() {
    let script = "trap '' TERM; sleep 1000 & echo '{}'; while :; do sleep 1000; done";
    let (_outgoing, _incoming, handle) = ready(script).await;
    assert!(group(handle.id()).len() >= 2);
    let report = soon(handle.stop()).await;
    assert_eq!(report.status.unwrap().signal(), Some(9));
    assert!(report.uptime >= limits().stop_grace + limits().term_grace);
    gone(report.pid).await;
}

#[tokio::test]
async fn one_that_is_suspended_is_killed() {
    let (_outgoing, _incoming, handle) = ready("echo '{}'; kill -STOP $$; exec cat").await;
    let report = soon(handle.stop()).await;
    assert_eq!(report.status.unwrap().signal(), Some(9));
    gone(report.pid).await;
}

#[tokio::test]
async fn kill_does_not_wait_and_ends_the_patience_of_a_stop() {
    let patient = Limits::default();
    let child = spawn(&shell("trap '' TERM; sleep 1000"), &patient).unwrap();
    let handle = child.handle().clone();
    let stopping = tokio::spawn(async move { handle.stop().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    child.handle().kill();
    let report = soon(stopping).await.unwrap();
    assert_eq!(report.status.unwrap().signal(), Some(9));
    assert!(report.uptime < Duration::from_secs(1));
    gone(report.pid).await;
}

#[tokio::test]
async fn one_that_crashes_is_reported() {
    let (outgoing, mut incoming, handle) = start("kill -SEGV $$").split();
    assert!(soon(incoming.next()).await.is_none());
    let report = soon(handle.exited()).await;
    assert_eq!(report.status.unwrap().signal(), Some(11));
    assert_eq!(report.cause, Cause::Exited);
    assert_eq!(outgoing.send(message("{}")).await, Err(Closed));
    assert!(outgoing.is_closed() && !handle.is_running());
    gone(report.pid).await;
}

/// Reading and writing are not needed to notice the exit.
#[tokio::test]
async fn an_exit_is_noticed_by_itself() {
    let child = start("exit 4");
    let report = soon(child.handle().exited()).await;
    assert_eq!(report.status.unwrap().code(), Some(4));
    assert_eq!(report.cause, Cause::Exited);
}

#[tokio::test]
async fn one_that_closes_its_output_and_lives_on_is_stopped() {
    let (_outgoing, mut incoming, handle) = start("exec sleep 1000 >&-").split();
    assert!(soon(incoming.next()).await.is_none());
    let report = soon(handle.exited()).await;
    assert_eq!(report.cause, Cause::ClosedPipe);
    assert_eq!(report.status.unwrap().signal(), Some(15));
    gone(report.pid).await;
}

#[tokio::test]
async fn one_that_closes_its_input_and_lives_on_is_stopped() {
    let (outgoing, _incoming, handle) = ready("exec <&-; echo '{}'; sleep 1000").await;
    outgoing.send(message("{}")).await.unwrap();
    let report = soon(handle.exited()).await;
    assert_eq!(report.cause, Cause::ClosedPipe);
    gone(report.pid).await;
}

#[tokio::test]
async fn dropping_any_part_stops_the_child_and_its_descendants() {
    for part in 0..4 {
        let script = "sleep 1000 & echo '{}'; sleep 1000";
        let (outgoing, incoming, handle) = ready(script).await;
        let id = handle.id();
        assert!(group(id).len() >= 2);
        match part {
            0 => {
                let clone = outgoing.clone();
                drop(outgoing);
                assert!(handle.is_running());
                drop(clone);
                gone(id).await;
                drop((incoming, handle));
            }
            1 => {
                drop(incoming);
                gone(id).await;
                drop((outgoing, handle));
            }
            2 => {
                drop(handle);
                gone(id).await;
                drop((outgoing, incoming));
            }
            _ => {
                drop((outgoing, incoming, handle));
                gone(id).await;
            }
        }
    }
    let child = start("exec sleep 1000");
    let id = child.handle().id();
    drop(child);
    gone(id).await;
}

#[tokio::test]
async fn dropping_the_stop_does_not_call_it_off() {
    let child = start("exec sleep 1000");
    let stop = child.handle().stop();
    assert!(
        tokio::time::timeout(Duration::from_millis(10), stop)
            .await
            .is_err()
    );
    let report = soon(child.handle().exited()).await;
    assert_eq!(report.cause, Cause::Stopped);
}

/// The group gets SIGTERM; its leader, a mere wrapper, dies of it at once.
#[tokio::test]
async fn a_descendant_outliving_a_wrapper_gets_its_grace() {
    let directory = tempfile::tempdir().unwrap();
    let saved = directory.path().join("saved");
    let server = format!(
        "(trap 'sleep 0.1; touch {}; exit' TERM; echo '{{}}'; while :; do sleep 0.01; done) & wait",
        saved.display()
    );
    let (_outgoing, _incoming, handle) = ready(&server).await;
    let report = soon(handle.stop()).await;
    assert_eq!(report.status.unwrap().signal(), Some(15));
    assert!(saved.exists());
    gone(report.pid).await;
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipes_ends_with_the_child() {
    for held in [
        "",
        "2>/dev/null",
        ">/dev/null",
        ">/dev/null 2>&1 </dev/null",
    ] {
        let script = format!("trap '' TERM; sleep 1000 {held} & echo '{{}}'");
        let (_outgoing, mut incoming, handle) = ready(&script).await;
        assert!(soon(incoming.next()).await.is_none(), "{held}");
        let report = soon(handle.exited()).await;
        assert_eq!(report.cause, Cause::Exited, "{held}");
        assert!(report.status.unwrap().success(), "{held}");
        gone(report.pid).await;
    }
}

/// It is out of reach, but it holds up nothing.
#[tokio::test]
async fn a_daemon_that_left_the_group_holds_up_nothing() {
    let script = "setsid sh -c 'while :; do echo \"{\\\"x\\\":1}\"; sleep 0.001; done' &
        echo \"{\\\"pid\\\":$!}\"";
    let (_outgoing, mut incoming, handle) = start(script).split();
    let mut daemon = None;
    let mut messages = 0_u32;
    while let Some(next) = soon(incoming.next()).await {
        let text = String::from_utf8(next.unwrap().to_vec()).unwrap();
        if let Some(pid) = text.strip_prefix("{\"pid\":") {
            daemon = pid.trim_end_matches('}').parse::<i32>().ok();
        }
        messages += 1;
        assert!(messages < 1_000_000);
    }
    let report = soon(handle.exited()).await;
    let _ = kill_process(Pid::from_raw(daemon.unwrap()).unwrap(), Signal::KILL);
    gone(report.pid).await;
}

#[test]
fn a_runtime_that_ends_takes_the_children_with_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (parts, id) = runtime.block_on(async {
        let script = "trap '' TERM; sleep 1000 & echo '{}'; while :; do sleep 1000; done";
        let parts = ready(script).await;
        let id = parts.2.id();
        (parts, id)
    });
    drop(runtime);

    let (outgoing, mut incoming, handle) = parts;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        eventually("the end", || group(id).iter().all(|member| member.zombie)).await;
        assert_eq!(soon(handle.exited()).await.cause, Cause::Abandoned);
        assert_eq!(outgoing.send(message("{}")).await, Err(Closed));
        assert!(!handle.is_running());
        // Reading needs the runtime that is gone; it must end all the same.
        let _ = soon(incoming.next()).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_from_all_sides_at_once_is_one_end() {
    for round in 0..20 {
        let (outgoing, mut incoming, handle) = start("cat").split();
        let id = handle.id();
        let sending =
            tokio::spawn(async move { while outgoing.send(message("{}")).await.is_ok() {} });
        let reading = tokio::spawn(async move { while incoming.next().await.is_some() {} });
        let killing = tokio::spawn({
            let handle = handle.clone();
            async move {
                if round % 2 == 0 {
                    handle.kill();
                }
            }
        });
        let (first, second) = soon(async { tokio::join!(handle.stop(), handle.stop()) }).await;
        assert!(std::sync::Arc::ptr_eq(&first, &second));
        soon(sending).await.unwrap();
        soon(reading).await.unwrap();
        killing.await.unwrap();
        gone(id).await;
    }
}

#[tokio::test]
async fn stopping_takes_no_longer_than_it_must() {
    let clock = Clock::counter();
    let child = spawn(&shell("exec cat"), &Limits::default()).unwrap();
    let start = clock.now();
    soon(child.handle().stop()).await;
    assert!(clock.now() - start < Duration::from_secs(1));
    let me = std::process::id();
    let id = child.handle().id();
    assert!(
        processes()
            .iter()
            .all(|process| process.parent != me || process.pid != id)
    );
}

#[tokio::test]
async fn a_child_that_could_not_start_leaves_nothing() {
    let me = std::process::id();
    let error = spawn(&shell("exit").args(["\0"]), &limits()).unwrap_err();
    assert!(matches!(error, SpawnError::Io(_)), "{error:?}");
    let zombies = || {
        processes()
            .into_iter()
            .filter(|process| process.parent == me && process.zombie)
    };
    eventually("no zombie", || zombies().count() == 0).await;
}

//! Lesson 19: two hundred children, ended in every ugly way, leave nothing behind.
//!
//! Alone in its process, since it counts what the process has open.

#[allow(dead_code, reason = "shared with the other tests of stdio")]
#[path = "stdio/processes.rs"]
mod processes;

use std::{fs, time::Duration};

use bartizan_transport::stdio::{Limits, spawn};
use tokio::time::timeout;

use crate::processes::{eventually, group, message, processes, shell};

const CHILDREN: usize = 200;

const SCRIPTS: &[&str] = &[
    "exec cat",
    "exec sleep 1000",
    "trap '' TERM; while :; do sleep 1000; done",
    "sleep 1000 & sleep 1000 & exec cat",
    "sleep 1000 & exit 0",
    "(trap '' TERM; sleep 1000 & sleep 1000) & exit 1",
    "(sleep 1000 >/dev/null 2>&1 </dev/null &) ; exit 0",
    "exec >&-; exec sleep 1000",
    "exec <&-; exec sleep 1000",
    "exec 2>&-; exec sleep 1000",
    "kill -STOP $$",
    "kill -KILL $$",
    "printf '{\"half'",
    "yes >&2",
    "yes '{}'",
    "yes noise",
    "while :; do printf x; done",
    "exit 0",
];

const ENDINGS: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_children_leave_nothing() {
    // What the runtime opens once for all children.
    one(0, 0).await;
    let descriptors = open_descriptors();
    let mut groups = Vec::new();
    for batch in 0..CHILDREN / 20 {
        let children: Vec<_> = (0..20)
            .map(|n| tokio::spawn(one(batch * 20 + n, (batch * 20 + n) / SCRIPTS.len())))
            .collect();
        for child in children {
            groups.push(child.await.unwrap());
        }
    }
    assert_eq!(groups.len(), CHILDREN);
    eventually("the end of all", || {
        groups.iter().all(|id| group(*id).is_empty())
    })
    .await;
    let me = std::process::id();
    let children = || {
        processes()
            .into_iter()
            .filter(|process| process.parent == me)
    };
    eventually("the reaping of all", || children().count() == 0).await;
    eventually("the closing of all", || open_descriptors() <= descriptors).await;
    // They end after what they wait for, which ends above.
    let runtime = tokio::runtime::Handle::current();
    eventually("the end of all tasks", || {
        runtime.metrics().num_alive_tasks() == 0
    })
    .await;
}

/// Starts a child and ends it in one of the ways; its process group.
async fn one(script: usize, ending: usize) -> u32 {
    let limits = Limits {
        stop_grace: Duration::from_millis(30),
        term_grace: Duration::from_millis(60),
        max_message_bytes: 10_000,
        ..Limits::default()
    };
    let command = shell(SCRIPTS[script % SCRIPTS.len()]);
    let (outgoing, mut incoming, handle) = spawn(&command, &limits).unwrap().split();
    let id = handle.id();
    match ending % ENDINGS {
        0 => drop((outgoing, incoming, handle)),
        1 => {
            let _ = timeout(Duration::from_millis(20), incoming.next()).await;
            handle.stop().await;
        }
        2 => {
            handle.kill();
            handle.exited().await;
        }
        3 => {
            for _ in 0..100 {
                let sent = outgoing.send(message("{\"id\":1}"));
                let _ = timeout(Duration::from_millis(1), sent).await;
            }
            drop(outgoing);
            let _ = timeout(Duration::from_millis(20), incoming.next()).await;
        }
        4 => {
            let _ = timeout(Duration::from_millis(1), handle.stop()).await;
        }
        5 => {
            let reading = tokio::spawn(async move { while incoming.next().await.is_some() {} });
            let _ = timeout(Duration::from_millis(20), reading).await;
            drop(handle);
            // The other parts live on in the task, and here.
            let _ = timeout(Duration::from_millis(300), outgoing.send(message("{}"))).await;
        }
        _ => {
            drop(incoming);
            handle.exited().await;
        }
    }
    id
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

//! Lesson 19: two hundred processes of one host, ended in every ugly way, leave nothing behind.
//!
//! Alone in its process, since it counts what the process has open.

#[allow(dead_code, reason = "shared with the tests of stdio")]
#[path = "stdio/processes.rs"]
mod processes;
#[allow(dead_code, reason = "shared with the other tests of hosts")]
#[path = "host/server.rs"]
mod server;

use std::{fs, time::Duration};

use bartizan_clock::Clock;
use bartizan_transport::{
    host::{Capacity, Connect, Host, HostLimits},
    stdio::{Command, Limits},
};
use http::Method;
use tokio::time::timeout;

use crate::{
    processes::{eventually, processes, shell},
    server::{LEGACY, MODERN, modern, request, script, send},
};

const CHILDREN: usize = 200;

/// What servers do to us: half of them answer properly, with company of their own.
fn programs() -> Vec<Command> {
    let served = script(MODERN);
    [
        script(LEGACY),
        served.clone(),
        format!("sleep 1000 & sleep 1000 & {served}"),
        format!("trap '' TERM; {served}; sleep 1000"),
        format!("(trap '' TERM; sleep 1000 & sleep 1000) & {served}"),
        format!("yes >&2 & {served}"),
        "exit 1".to_owned(),
        "exec sleep 1000".to_owned(),
        "kill -STOP $$".to_owned(),
        "kill -KILL $$".to_owned(),
        "exec >&-; exec sleep 1000".to_owned(),
        "yes noise".to_owned(),
        "while :; do printf x; done".to_owned(),
    ]
    .iter()
    .map(|script| shell(script))
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d19_two_hundred_processes_leave_nothing() {
    let limits = HostLimits {
        capacity: Capacity::new(CHILDREN),
        per_owner: CHILDREN,
        idle: Duration::from_millis(150),
        probe: Duration::from_millis(50),
        ..HostLimits::default()
    };
    let programs = programs();
    // What the runtime opens once for all children.
    one(&programs[0], &limits, 0).await;
    eventually("the first end", || limits.capacity.available() == CHILDREN).await;
    let descriptors = open_descriptors();
    for batch in 0..CHILDREN / 20 {
        let children = (0..20).map(|n| {
            let number = batch * 20 + n;
            let (program, limits) = (programs[number % programs.len()].clone(), limits.clone());
            let ending = number / programs.len();
            tokio::spawn(async move { one(&program, &limits, ending).await })
        });
        for child in children.collect::<Vec<_>>() {
            child.await.unwrap();
        }
    }
    eventually("room for all", || limits.capacity.available() == CHILDREN).await;
    let me = std::process::id();
    let children = || {
        processes()
            .into_iter()
            .filter(|process| process.parent == me)
    };
    eventually("the reaping of all", || children().count() == 0).await;
    eventually("the closing of all", || open_descriptors() <= descriptors).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    eventually("the end of all tasks", || metrics.num_alive_tasks() == 0).await;
}

/// Starts a server and leaves it in one of the ways.
async fn one(program: &Command, limits: &HostLimits, ending: usize) {
    let child = Limits {
        stop_grace: Duration::from_millis(30),
        term_grace: Duration::from_millis(60),
        max_message_bytes: 10_000,
        ..Limits::default()
    };
    let connect = Connect::stdio(program.clone(), child, server::restart());
    let host = Host::new(connect, limits.clone(), Clock::default());
    let patience = Duration::from_millis(300);
    let initialize = request("initialize");
    let begun = timeout(patience, send(&host, Method::POST, None, &initialize, 0)).await;
    let session = match &begun {
        Ok(Ok(answer)) => answer.headers().get("mcp-session-id"),
        _ => None,
    };
    let session = session.map(|session| session.to_str().unwrap().to_owned());
    let session = session.as_deref();
    let probe = modern("server/discover");
    let probed = timeout(patience, send(&host, Method::POST, None, &probe, 0)).await;
    drop(probed);
    match ending % 7 {
        0 => drop(host),
        1 => host.close().await,
        2 => {
            let _ = timeout(Duration::from_millis(1), host.close()).await;
        }
        // Left to the idle time.
        3 => eventually("the idle end", || host.connections() == 0).await,
        4 => {
            let die = request("die");
            let _ = timeout(patience, send(&host, Method::POST, session, &die, 0)).await;
        }
        5 => {
            let listen = timeout(patience, send(&host, Method::GET, session, "", 0)).await;
            let call = request("begin");
            let begun = timeout(patience, send(&host, Method::POST, session, &call, 0)).await;
            drop(host);
            drop((listen, begun));
        }
        _ => {
            let _ = timeout(patience, send(&host, Method::DELETE, session, "", 0)).await;
        }
    }
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

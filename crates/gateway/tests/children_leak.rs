//! Lesson 19: two hundred processes behind a gateway, left in ugly ways, leave nothing.
//!
//! Alone in its process, whose children it counts.

#[allow(dead_code, reason = "shared with the other tests of children")]
#[path = "children/support.rs"]
mod support;

use std::time::Duration;

use bartizan_gateway::Gateway;
use http::Method;
use tokio::time::timeout;

use crate::support::{INITIALIZE, SERVER, call, children, eventually, gateway, send, shell};

const SESSIONS: usize = 200;

const NAMES: [&str; 8] = [
    "plain", "company", "stuck", "exits", "silent", "killed", "noisy", "shut",
];

fn script(name: &str) -> String {
    match name {
        "company" => format!("sleep 1000 & sleep 1000 & {SERVER}"),
        "stuck" => format!("(trap '' TERM; sleep 1000 & sleep 1000) & {SERVER}; exec sleep 1000"),
        "exits" => "exit 1".to_owned(),
        "silent" => "exec sleep 1000".to_owned(),
        "killed" => "kill -KILL $$".to_owned(),
        "noisy" => "yes noise".to_owned(),
        "shut" => "exec >&-; exec sleep 1000".to_owned(),
        _ => SERVER.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d19_two_hundred_processes_leave_nothing() {
    let scripts: Vec<_> = NAMES.iter().map(|name| script(name)).collect();
    let services = NAMES.iter().zip(&scripts);
    let services = services.map(|(name, script)| {
        let service = shell(script).variable("CB_FAILURE_THRESHOLD", "100000");
        (*name, service.variable("MAX_RETRIES", "0"))
    });
    let gateway = gateway(services.collect());
    for batch in 0..SESSIONS / 20 {
        let sessions = (0..20).map(|n| {
            let (gateway, number) = (gateway.clone(), batch * 20 + n);
            tokio::spawn(async move { one(&gateway, number).await })
        });
        for session in sessions.collect::<Vec<_>>() {
            session.await.unwrap();
        }
    }
    assert!(children() > 0, "some sessions are left open");
    timeout(Duration::from_secs(20), gateway.close())
        .await
        .unwrap();
    eventually("the end of all", || children() == 0).await;
}

/// Begins a session and leaves it in one of the ways.
async fn one(gateway: &Gateway, number: usize) {
    let path = format!("/mcp/{}", NAMES[number % NAMES.len()]);
    let patience = Duration::from_millis(300);
    let begun = timeout(
        patience,
        send(gateway, Method::POST, &path, None, INITIALIZE),
    )
    .await;
    let Ok(begun) = begun else { return };
    let Some(session) = begun.headers().get("mcp-session-id") else {
        return;
    };
    let session = Some(session.to_str().unwrap());
    match number / NAMES.len() % 4 {
        // Abandoned.
        0 => {}
        1 => drop(send(gateway, Method::DELETE, &path, session, "").await),
        2 => drop(send(gateway, Method::POST, &path, session, &call("die")).await),
        _ => {
            let ping = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
            let answer = send(gateway, Method::POST, &path, session, ping);
            drop(timeout(Duration::from_millis(20), answer).await);
        }
    }
}

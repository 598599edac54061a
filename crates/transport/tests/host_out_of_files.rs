//! A host that has no file descriptor left for a process.

#[allow(dead_code, reason = "shared with the tests of stdio")]
#[path = "stdio/processes.rs"]
mod processes;
#[allow(dead_code, reason = "shared with the other tests of hosts")]
#[path = "host/server.rs"]
mod server;

use std::{fs::File, process::Command, time::Duration};

use bartizan_transport::host::{HostError, HostLimits};
use http::{Method, StatusCode};

use crate::server::{LEGACY, begin, host, request, send};

/// Runs this very test again in a process that may open few files; there, it does the work.
#[test]
fn that_a_process_has_no_room_is_no_failure_of_its_program() {
    const LIMIT: usize = 64;
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok())
        .take(2 * LIMIT)
        .collect();
    if files.len() < 2 * LIMIT {
        drop(files);
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(starve());
        return;
    }
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\"")])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

async fn starve() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let more = send(&host, Method::POST, None, &request("initialize"), 0).await;
    assert!(
        matches!(more, Err(HostError::Overloaded { .. })),
        "{more:?}"
    );
    assert!(!host.failed_within(Duration::from_secs(60)));
    let pid = request("pid");
    let answer = send(&host, Method::POST, Some(&session), &pid, 0).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    drop(hoard);
    begin(&host, 0).await;
    host.close().await;
}

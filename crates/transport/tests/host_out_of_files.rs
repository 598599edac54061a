//! A host that has no file descriptor left for a process.

#[allow(dead_code, reason = "shared with the tests of stdio")]
#[path = "stdio/processes.rs"]
mod processes;
#[allow(dead_code, reason = "shared with the other tests of hosts")]
#[path = "host/server.rs"]
mod server;

use std::{fs::File, time::Duration};

use bartizan_testkit::with_few_files;
use bartizan_transport::host::{HostError, HostLimits};
use http::{Method, StatusCode};

use crate::server::{LEGACY, begin, host, request, send};

#[test]
fn that_a_process_has_no_room_is_no_failure_of_its_program() {
    with_few_files(starve());
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

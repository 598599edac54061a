//! What the log tells of children that end. The only test of its binary: others, without a
//! subscriber, would switch its call sites off.

use std::time::Duration;

use bartizan_testkit::Log;
use bartizan_transport::stdio::{Command, Limits, spawn};
use bytes::Bytes;
use tokio::time::timeout;

/// The line of the log about a child with this script that is told `{}` once.
async fn line(log: &Log, script: &str) -> String {
    let _ = log.take();
    let command = Command::new("sh")
        .args(["-c", script])
        .inherited(vec![("PATH".into(), "/usr/bin:/bin".into())])
        .env("KEY", "sk-0123456789")
        .hidden(["hunter2-hunter2"]);
    let child = spawn(&command, &Limits::default()).unwrap();
    let (outgoing, mut incoming, handle) = child.split();
    outgoing.send(Bytes::from("{}")).await.unwrap();
    let end = async {
        while incoming.next().await.is_some() {}
        handle.exited().await
    };
    timeout(Duration::from_secs(10), end).await.unwrap();
    log.take()
}

#[tokio::test]
async fn what_a_child_said_last_is_told_unless_it_may_be_a_callers() {
    let log = Log::default();
    let _guard = log.collect(tracing::Level::INFO);

    let line_of_one_that_did_not_start = line(
        &log,
        r#"read -r x; echo "no module, key $KEY hunter2-hunter2" >&2; exit 3"#,
    )
    .await;
    assert!(
        line_of_one_that_did_not_start.contains("no module, key [KEY] [redacted]"),
        "{line_of_one_that_did_not_start}"
    );
    let line_of_one_that_answered = line(
        &log,
        r#"read -r x; echo "$x"; echo "cannot do $x" >&2; exit 3"#,
    )
    .await;
    assert!(
        line_of_one_that_answered.contains("ended by itself")
            && !line_of_one_that_answered.contains("cannot do"),
        "{line_of_one_that_answered}"
    );
}

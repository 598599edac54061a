//! What the log tells of children that end. The only test of its binary: others, without a
//! subscriber, would switch its call sites off.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_transport::stdio::{Command, Limits, spawn};
use bytes::Bytes;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The line of the log about a child with this script that is told `{}` once.
async fn line(log: &Log, script: &str) -> String {
    log.0.lock().unwrap().clear();
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
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn what_a_child_said_last_is_told_unless_it_may_be_a_callers() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

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

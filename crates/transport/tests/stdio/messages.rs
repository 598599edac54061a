//! What goes through the pipes.

use std::{collections::HashSet, time::Duration};

use bartizan_testkit::Log;
use bartizan_transport::stdio::{Cause, Closed, Limits, StdioError, spawn};
use bytes::Bytes;
use tokio::time::timeout;

use crate::processes::{eventually, limits, message, shell, soon, start};

#[tokio::test]
async fn messages_pass_byte_for_byte() {
    let (outgoing, mut incoming, _handle) = start("exec cat").split();
    let odd =
        r#"{"id":123456789012345678901234567890,"x":1.10,"s":"\u00e9\/\n","_meta":{"$defs":[]}}"#;
    outgoing.send(message(odd)).await.unwrap();
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), odd);

    outgoing
        .send(message("{\n  \"id\": 1,\r\n  \"a\": [\n]}\n"))
        .await
        .unwrap();
    let one_line = "{   \"id\": 1,    \"a\": [ ]} ";
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), one_line);
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_message() {
    let says = r#"printf '\357\273\277{"jsonrpc":"2.0","id":1,"result":{}}\n'; read -r line"#;
    let (_outgoing, mut incoming, handle) = start(says).split();
    let heard = soon(incoming.next()).await.unwrap().unwrap();
    assert_eq!(heard, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(handle.skipped_lines(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_messages_never_mix() {
    let (outgoing, mut incoming, _handle) = start("exec cat").split();
    let mut expected = HashSet::new();
    for sender in 0..8 {
        let outgoing = outgoing.clone();
        let texts: Vec<String> = (0..50)
            .map(|n| {
                let filler = "x".repeat((n * 7919) % 100_000);
                format!(r#"{{"sender":{sender},"n":{n},"filler":"{filler}"}}"#)
            })
            .collect();
        expected.extend(texts.iter().cloned());
        tokio::spawn(async move {
            for text in texts {
                outgoing.send(Bytes::from(text)).await.unwrap();
            }
        });
    }
    while !expected.is_empty() {
        let message = soon(incoming.next()).await.unwrap().unwrap();
        let text = std::str::from_utf8(&message).unwrap();
        assert!(
            expected.remove(text),
            "unexpected: {}",
            &text[..text.len().min(80)]
        );
    }
}

#[tokio::test]
async fn a_reader_that_gives_up_loses_nothing() {
    let script = r#"for i in 1 2 3; do printf '{"a"'; sleep 0.05; printf ':1}\n'; done; exec cat"#;
    let (_outgoing, mut incoming, _handle) = start(script).split();
    let mut messages = 0;
    let mut given_up = 0;
    while messages < 3 {
        match timeout(Duration::from_millis(5), incoming.next()).await {
            Ok(message) => {
                assert_eq!(message.unwrap().unwrap(), r#"{"a":1}"#);
                messages += 1;
            }
            Err(_) => given_up += 1,
        }
        assert!(given_up < 1000);
    }
    assert!(given_up > 3);
}

/// Lesson 29: neither the noise, nor standard error, nor arguments, nor values reach a log.
#[tokio::test]
async fn noise_is_skipped_counted_and_logged_once_without_its_content() {
    let log = Log::default();
    let guard = log.collect(tracing::Level::TRACE);

    let script = "echo 'Server with token-out ready'; echo '[INFO] token-out'; echo token-err >&2
        echo; echo '{\"id\":1}'; echo \"{ note: 'no JSON' }\"; exec cat";
    let command = shell(script).args(["token-arg"]).env("KEY", "token-env");
    let (_outgoing, mut incoming, handle) = spawn(&command, &limits()).unwrap().split();
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), r#"{"id":1}"#);
    assert!(
        timeout(Duration::from_millis(100), incoming.next())
            .await
            .is_err()
    );
    assert_eq!(handle.skipped_lines(), 3);
    let report = soon(handle.stop()).await;
    assert_eq!(report.skipped_lines, 3);
    assert_eq!(report.stderr_tail, "token-err");
    tracing::info!("{command:?} {handle:?} {report:?}");
    drop(guard);

    let log = log.text();
    assert_eq!(log.matches("no message").count(), 1, "{log}");
    assert!(log.contains("server process ended"), "{log}");
    assert!(!log.contains("token-"), "{log}");
}

#[tokio::test]
async fn a_message_above_the_limit_is_an_error_and_the_next_one_comes() {
    let small = Limits {
        max_message_bytes: 1000,
        ..limits()
    };
    let long = "for i in 1 2 3 4 5 6 7 8 9; do printf %0200d 0; done";
    let script = format!(
        "{long}; echo; printf '{{\"id\":1,\"result\":'; {long}; echo '}}'; echo '{{\"id\":2}}'; read -r line"
    );
    let (_outgoing, mut incoming, handle) = spawn(&shell(&script), &small).unwrap().split();
    let error = soon(incoming.next()).await.unwrap().unwrap_err();
    let StdioError::TooLong {
        limit, beginning, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(limit, 1000);
    assert!(beginning.starts_with(b"{\"id\":1,"), "{beginning:?}");
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), r#"{"id":2}"#);
    assert_eq!(handle.skipped_lines(), 1, "the other was none");
}

#[tokio::test]
async fn the_end_of_a_message_above_the_limit_is_told_where_its_beginning_does_not_tell() {
    let small = Limits {
        max_message_bytes: 1000,
        ..limits()
    };
    let long = "for i in 1 2 3 4 5 6 7 8 9; do printf %0200d 0; done";
    let script = format!(
        "printf '{{\"result\":\"'; {long}; echo '\",\"id\":1}}'; echo '{{\"id\":2}}'; read -r line"
    );
    let (_outgoing, mut incoming, _handle) = spawn(&shell(&script), &small).unwrap().split();
    let error = soon(incoming.next()).await.unwrap().unwrap_err();
    let StdioError::TooLong { beginning, end, .. } = error else {
        panic!("{error}")
    };
    assert!(beginning.starts_with(b"{\"result\":"), "{beginning:?}");
    assert!(end.ends_with(b"00\",\"id\":1}"), "{end:?}");
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), r#"{"id":2}"#);
}

#[tokio::test]
async fn half_a_message_at_the_end_is_an_error() {
    let (_outgoing, mut incoming, handle) = start(r#"printf '{"id":'"#).split();
    let error = soon(incoming.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(error, StdioError::Truncated { length: 6 }),
        "{error}"
    );
    assert!(soon(incoming.next()).await.is_none());
    let report = soon(handle.exited()).await;
    assert_eq!(report.cause, Cause::Exited);
    assert!(report.status.unwrap().success());
}

#[tokio::test]
async fn a_whole_message_at_the_end_needs_no_line_end() {
    let (_outgoing, mut incoming, _handle) = start(r#"printf '{"id":1}'"#).split();
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), r#"{"id":1}"#);
    assert!(soon(incoming.next()).await.is_none());

    let (_outgoing, mut incoming, handle) = start("printf 'good bye'").split();
    assert!(soon(incoming.next()).await.is_none());
    assert_eq!(handle.skipped_lines(), 1);
}

#[tokio::test]
async fn a_child_that_never_reads_fills_its_queue_and_no_more() {
    let small = Limits {
        queue: 4,
        stop_grace: Duration::from_millis(20),
        ..limits()
    };
    let (outgoing, _incoming, handle) = spawn(&shell("exec sleep 1000"), &small).unwrap().split();
    let large = Bytes::from(format!("[{{\"x\":\"{}\"}}]", "y".repeat(100_000)));
    let mut sent = 0;
    // The first is stuck in the pipe, which holds less, and keeps its place in the queue.
    while let Ok(result) = timeout(Duration::from_millis(100), outgoing.send(large.clone())).await {
        result.unwrap();
        sent += 1;
    }
    assert_eq!(sent, 4);

    // Who waits is told at once, not when the child is finally dead.
    let waiting = tokio::spawn({
        let outgoing = outgoing.clone();
        async move { outgoing.send(large).await }
    });
    tokio::task::yield_now().await;
    let stopping = tokio::spawn({
        let handle = handle.clone();
        async move { handle.stop().await }
    });
    assert_eq!(soon(waiting).await.unwrap(), Err(Closed));
    assert!(!stopping.is_finished());
    assert_eq!(soon(stopping).await.unwrap().cause, Cause::Stopped);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too_but_takes_any_one_message() {
    let small = Limits {
        queue: 64,
        queue_bytes: 300_000,
        ..limits()
    };
    let (outgoing, _incoming, _handle) = spawn(&shell("exec sleep 1000"), &small).unwrap().split();
    let large = Bytes::from(vec![b' '; 140_000]);
    let mut sent = 0;
    while timeout(Duration::from_millis(50), outgoing.send(large.clone()))
        .await
        .is_ok()
    {
        sent += 1;
    }
    assert_eq!(sent, 2);

    let (outgoing, mut incoming, _handle) = spawn(&shell("exec cat"), &small).unwrap().split();
    let huge = Bytes::from(format!("{{\"x\":\"{}\"}}", "y".repeat(1_000_000)));
    for _ in 0..3 {
        outgoing.send(huge.clone()).await.unwrap();
        assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), huge);
    }
}

#[tokio::test]
async fn a_send_that_gives_up_leaves_no_trace() {
    let small = Limits {
        queue: 1,
        ..limits()
    };
    // Reads nothing until it is told to.
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    let script = format!(
        "until [ -e {} ]; do sleep 0.01; done; exec cat",
        gate.display()
    );
    let (outgoing, mut incoming, _handle) = spawn(&shell(&script), &small).unwrap().split();
    let first = Bytes::from(format!("{{\"x\":\"{}\"}}", "y".repeat(200_000)));
    outgoing.send(first.clone()).await.unwrap();
    for _ in 0..10 {
        let given_up = outgoing.send(message(r#"{"given":"up"}"#));
        assert!(timeout(Duration::from_millis(5), given_up).await.is_err());
    }
    std::fs::write(gate, "").unwrap();
    let last = outgoing.send(message(r#"{"last":1}"#));
    let (sent, read) = soon(async { tokio::join!(last, incoming.next()) }).await;
    sent.unwrap();
    assert_eq!(read.unwrap().unwrap(), first);
    assert_eq!(
        soon(incoming.next()).await.unwrap().unwrap(),
        r#"{"last":1}"#
    );
}

#[tokio::test]
async fn what_is_queued_is_written_before_the_input_is_closed() {
    let (outgoing, mut incoming, handle) = start("sleep 0.02; exec cat").split();
    for n in 0..20 {
        outgoing
            .send(Bytes::from(format!("{{\"n\":{n}}}")))
            .await
            .unwrap();
    }
    let stopping = tokio::spawn(async move { handle.stop().await });
    for n in 0..20 {
        let message = soon(incoming.next()).await.unwrap().unwrap();
        assert_eq!(message, format!("{{\"n\":{n}}}"));
    }
    assert!(soon(incoming.next()).await.is_none());
    assert!(soon(stopping).await.unwrap().status.unwrap().success());
}

#[tokio::test]
async fn a_flood_on_standard_error_is_bounded_and_blocks_nothing() {
    let (outgoing, mut incoming, handle) = start("yes noise >&2 & exec cat").split();
    eventually("the flood", || handle.stderr_tail().len() > 100).await;
    for _ in 0..100 {
        outgoing.send(message("{}")).await.unwrap();
        assert_eq!(soon(incoming.next()).await.unwrap().unwrap(), "{}");
    }
    let tail = handle.stderr_tail();
    assert!(tail.lines().count() <= Limits::default().stderr_lines);
    assert!(tail.contains("noise\nnoise"));
    soon(handle.stop()).await;
}

#[tokio::test]
async fn standard_error_is_kept_without_escapes_and_secrets() {
    let script = r#"printf 'key %s \033[31mred\n' "$KEY" >&2; exit 3"#;
    let command = shell(script).env("KEY", "sk-0123456789");
    let (_outgoing, _incoming, handle) = spawn(&command, &limits()).unwrap().split();
    let report = soon(handle.exited()).await;
    assert_eq!(report.status.unwrap().code(), Some(3));
    assert_eq!(report.stderr_tail, "key [KEY] \\u{1b}[31mred");
    assert_eq!(handle.stderr_tail(), report.stderr_tail);
}

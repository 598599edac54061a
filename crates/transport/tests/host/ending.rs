use std::{fs, time::Duration};

use bartizan_clock::Clock;
use bartizan_transport::{
    host::{Capacity, Connect, Host, HostError, HostLimits},
    stdio::{Command, RestartPolicy},
};
use http::{Method, StatusCode};

use crate::{
    processes::{eventually, gone, group, limits, shell, soon},
    server::{LEGACY, MODERN, begin, host, host_of, modern, pid, post, request, send, whole},
};

fn capacity() -> Capacity {
    Capacity::new(8)
}

#[tokio::test]
async fn d8_a_program_that_does_not_start_is_said_so() {
    let limits = HostLimits::default();
    let host = host_of(Command::new("/no/such/program"), limits.clone());
    for message in [request("initialize"), modern("server/discover")] {
        let failed = post(&host, None, &message).await;
        let Err(HostError::Unsent {
            reason,
            retry_after,
        }) = failed
        else {
            panic!("{failed:?}");
        };
        assert!(reason.contains("/no/such/program") && retry_after.is_none());
    }
    assert_eq!((host.connections(), limits.capacity.available()), (0, 64));
}

#[tokio::test]
async fn a_program_that_keeps_dying_is_left_alone_for_a_while() {
    let policy = RestartPolicy {
        flapping_after: 3,
        ..RestartPolicy::default()
    };
    let connect = Connect::stdio(shell("exit 1"), limits(), policy);
    let host = Host::new(connect, HostLimits::default(), Clock::default());
    for _ in 0..3 {
        let failed = post(&host, None, &request("initialize")).await;
        assert!(
            matches!(failed, Err(HostError::Interrupted { .. })),
            "{failed:?}"
        );
        eventually("the end", || host.connections() == 0).await;
    }
    let failed = post(&host, None, &request("initialize")).await;
    let Err(HostError::Unsent { retry_after, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert!(retry_after.is_some_and(|wait| wait <= Duration::from_secs(1)));
}

#[tokio::test]
async fn d19_what_nobody_uses_ends() {
    let limits = HostLimits {
        idle: Duration::from_millis(100),
        ..HostLimits::default()
    };
    let host = host(MODERN, limits);
    let (session, own) = begin(&host, 0).await;
    let shared = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    gone(own).await;
    gone(shared).await;
    let answer = post(&host, Some(&session), &request("pid")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_listener_and_a_request_keep_a_connection() {
    let limits = HostLimits {
        idle: Duration::from_millis(50),
        ..HostLimits::default()
    };
    let host = host(MODERN, limits);
    let (session, own) = begin(&host, 0).await;
    let news = send(&host, Method::GET, Some(&session), "", 0)
        .await
        .unwrap();
    let begun = post(&host, None, &modern("begin")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(host.connections(), 2);
    drop((news, begun));
    gone(own).await;
    eventually("the end of both", || host.connections() == 0).await;
}

#[tokio::test]
async fn d19_no_connection_lives_for_ever() {
    let limits = HostLimits {
        lifetime: Duration::from_millis(100),
        retire: Duration::from_millis(100),
        ..HostLimits::default()
    };
    let host = host(MODERN, limits);
    let (session, own) = begin(&host, 0).await;
    let shared = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    let news = send(&host, Method::GET, Some(&session), "", 0)
        .await
        .unwrap();
    gone(shared).await;
    gone(own).await;
    assert!(whole(news).await.is_empty());
}

#[tokio::test]
async fn close_waits_until_all_is_gone() {
    let host = host(MODERN, HostLimits::default());
    let (session, own) = begin(&host, 0).await;
    let news = send(&host, Method::GET, Some(&session), "", 0)
        .await
        .unwrap();
    let shared = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    soon(host.close()).await;
    assert!(group(own).is_empty() && group(shared).is_empty());
    assert_eq!(host.connections(), 0);
    drop(news);
    let failed = post(&host, None, &request("initialize")).await;
    assert!(
        matches!(failed, Err(HostError::Unsent { .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_host_that_is_dropped_leaves_nothing() {
    let limits = HostLimits {
        capacity: capacity(),
        ..HostLimits::default()
    };
    let host = host(MODERN, limits.clone());
    let (session, own) = begin(&host, 0).await;
    let news = send(&host, Method::GET, Some(&session), "", 0)
        .await
        .unwrap();
    drop(host);
    gone(own).await;
    // The stream ends with the connection, although somebody reads it still.
    assert!(whole(news).await.is_empty());
    eventually("room", || limits.capacity.available() == 8).await;
}

#[tokio::test]
async fn a_handshake_that_is_let_go_leaves_no_process() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let command = shell(r#"echo $$ > "$FILE"; while read -r _; do :; done"#).env("FILE", &file);
    let host = host_of(command, HostLimits::default());
    let message = request("initialize");
    let begun = post(&host, None, &message);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), begun)
            .await
            .is_err()
    );
    let process = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    gone(process).await;
    eventually("room", || host.connections() == 0).await;
}

#[tokio::test]
async fn a_refused_handshake_leaves_no_process() {
    let command = shell(
        r#"read -r line; echo '{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}'; cat"#,
    );
    let host = host_of(command, HostLimits::default());
    let answer = post(&host, None, &request("initialize")).await.unwrap();
    assert!(answer.headers().get("mcp-session-id").is_none());
    eventually("the end", || host.connections() == 0).await;
}

#[tokio::test]
async fn a_server_that_reads_nothing_gets_nothing() {
    let limits = HostLimits {
        accept: Duration::from_millis(50),
        ..HostLimits::default()
    };
    let deaf = r#"read -r line; echo '{"jsonrpc":"2.0","id":7,"result":{}}'; exec sleep 1000"#;
    let host = host_of(shell(deaf), limits);
    let answer = post(&host, None, &request("initialize")).await.unwrap();
    let session = answer.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = "x".repeat(1 << 20);
    let note = format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"x":"{text}"}}}}"#);
    let mut failed = None;
    for _ in 0..100 {
        match post(&host, Some(&session), &note).await {
            Ok(answer) => assert_eq!(answer.status(), StatusCode::ACCEPTED),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    assert!(
        matches!(failed, Some(HostError::Unsent { .. })),
        "{failed:?}"
    );
    // It is ended all the same.
    soon(host.close()).await;
}

#[tokio::test]
async fn what_is_no_message_does_not_end_a_session() {
    let noisy = crate::server::script(LEGACY).replace(
        "while read",
        "echo 'starting up...'; echo '[1,'; while read",
    );
    let host = host_of(shell(&noisy), HostLimits::default());
    begin(&host, 0).await;
}

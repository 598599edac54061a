use std::time::Duration;

use bartizan_transport::host::{HostError, HostLimits};
use http::{Method, StatusCode};

use crate::{
    processes::{eventually, gone, shell},
    server::{
        FATAL, LEGACY, MODERN, SILENT, begin, events, host, host_of, modern, next, pid, post,
        request, send, whole,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_messages_start_one_process() {
    for _ in 0..20 {
        let host = host(MODERN, HostLimits::default());
        let call = |owner| {
            let host = host.clone();
            tokio::spawn(async move {
                let answer = send(&host, Method::POST, None, &modern("pid"), owner).await;
                let result = whole(answer.unwrap()).await;
                assert!(result.starts_with(br#"{"jsonrpc":"2.0","id":"seven","#));
                pid(&result)
            })
        };
        let calls: Vec<_> = [1, 1, 1, 1, 2].into_iter().map(call).collect();
        let mut pids = Vec::new();
        for call in calls {
            pids.push(call.await.unwrap());
        }
        assert!(pids[..4].iter().all(|pid| *pid == pids[0]), "{pids:?}");
        assert_ne!(pids[0], pids[4]);
        assert_eq!(host.connections(), 2);
        // It stays for the next.
        assert_eq!(call(1).await.unwrap(), pids[0]);
    }
}

#[tokio::test]
async fn errors_have_their_status() {
    let host = host(MODERN, HostLimits::default());
    let found = post(&host, None, &modern("server/discover")).await.unwrap();
    assert_eq!(found.status(), StatusCode::OK);
    let wrong = post(&host, None, &modern("wrong")).await.unwrap();
    assert_eq!(wrong.status(), StatusCode::NOT_FOUND);
    assert_eq!(wrong.headers()["content-type"], "application/json");
    assert_eq!(
        whole(wrong).await,
        r#"{"jsonrpc":"2.0","id":"seven","error":{"code":-32601,"message":"no"}}"#
    );
    let said = events(post(&host, None, &modern("noisy")).await.unwrap()).await;
    assert_eq!(
        said[1],
        r#"{"jsonrpc":"2.0","id":"seven","result":{"x":1.10}}"#
    );
}

#[tokio::test]
async fn a_code_of_the_servers_own_is_no_status() {
    for code in [40101, 40401, 42901, 50301] {
        let server = format!(
            r#"while read -r line; do id=${{line#*'"id":'}}; id=${{id%%,*}}
            echo '{{"jsonrpc":"2.0","id":'$id',"error":{{"code":{code},"message":"own"}}}}'; done"#
        );
        let host = host_of(shell(&server), HostLimits::default());
        let answer = post(&host, None, &modern("tools/call")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{code}");
        assert!(whole(answer).await.ends_with(br#""message":"own"}}"#));
    }
}

#[tokio::test]
async fn the_revision_knows_no_initialize() {
    let host = host(MODERN, HostLimits::default());
    let answer = post(&host, None, &modern("initialize")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn a_process_that_was_only_probed_does_not_linger() {
    let limits = HostLimits {
        probe: Duration::from_millis(50),
        ..HostLimits::default()
    };
    for says in [LEGACY, SILENT, FATAL] {
        let host = host(says, limits.clone());
        let answer = post(&host, None, &modern("server/discover")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{says}");
        let body = whole(answer).await;
        assert!(body.starts_with(br#"{"jsonrpc":"2.0","id":"seven","error":{"code":-32601"#));
        eventually("the end of the probed", || host.connections() == 0).await;
        // The older era has a process of its own.
        begin(&host, 0).await;
    }
}

#[tokio::test]
async fn a_process_that_answers_stays_when_it_was_probed() {
    let host = host(MODERN, HostLimits::default());
    post(&host, None, &modern("server/discover")).await.unwrap();
    let first = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    let again = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    assert_eq!(first, again);
}

#[tokio::test]
async fn a_probe_that_is_let_go_leaves_no_process() {
    let host = host(SILENT, HostLimits::default());
    let message = modern("server/discover");
    let probe = post(&host, None, &message);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), probe)
            .await
            .is_err()
    );
    eventually("the end of the probed", || host.connections() == 0).await;
}

#[tokio::test]
async fn a_stream_of_notifications_arrives_as_it_is_said() {
    let host = host(MODERN, HostLimits::default());
    let answer = post(&host, None, &modern("begin")).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(
        next(&mut body).await,
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":2}}"#
    );
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn another_process_takes_the_place_of_one_that_died() {
    let host = host(MODERN, HostLimits::default());
    let first = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    let died = post(&host, None, &modern("die")).await;
    assert!(
        matches!(died, Err(HostError::Interrupted { .. })),
        "{died:?}"
    );
    gone(first).await;
    let next = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    assert_ne!(first, next);
}

#[tokio::test]
async fn the_eras_do_not_share_a_process() {
    let host = host(MODERN, HostLimits::default());
    let shared = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    let (session, own) = begin(&host, 0).await;
    assert_ne!(shared, own);
    let answer = post(&host, Some(&session), &request("pid")).await.unwrap();
    assert_eq!(pid(&whole(answer).await), own);
}

use std::time::Duration;

use bartizan_transport::host::{Capacity, HostError, HostLimits};
use http::{Method, StatusCode};

use crate::{
    processes::gone,
    server::{LEGACY, begin, events, host, next, post, request, send, whole},
};

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

#[tokio::test]
async fn a_session_begins_goes_on_and_ends() {
    let host = host(LEGACY, HostLimits::default());
    let (session, process) = begin(&host, 0).await;

    let answer = post(&host, Some(&session), &request("pid")).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let expected = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"pid":{process}}}}}"#);
    assert_eq!(whole(answer).await, expected);

    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answer = post(&host, Some(&session), note).await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);

    let answer = post(&host, Some(&session), &request("wrong"))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);

    let end = || send(&host, Method::DELETE, Some(&session), "", 0);
    assert_eq!(end().await.unwrap().status(), StatusCode::OK);
    assert_eq!(end().await.unwrap().status(), StatusCode::NOT_FOUND);
    gone(process).await;
    let answer = post(&host, Some(&session), &request("pid")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let expected =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"Session not found"}}"#;
    assert_eq!(whole(answer).await, expected);
}

#[tokio::test]
async fn sessions_have_processes_of_their_own() {
    let host = host(LEGACY, HostLimits::default());
    let (first, one) = begin(&host, 0).await;
    let (second, two) = begin(&host, 0).await;
    assert!(first != second && one != two);
}

#[tokio::test]
async fn what_comes_before_the_response_makes_a_stream() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let answer = post(&host, Some(&session), &request("noisy"))
        .await
        .unwrap();
    let said = events(answer).await;
    assert_eq!(said.len(), 2);
    assert_eq!(said[1], r#"{"jsonrpc":"2.0","id":7,"result":{"x":1.10}}"#);
}

#[tokio::test]
async fn a_request_of_the_server_is_answered_by_another_post() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let answer = post(&host, Some(&session), &request("ask")).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(
        next(&mut body).await,
        r#"{"jsonrpc":"2.0","id":900,"method":"roots/list"}"#
    );
    let reply = r#"{"jsonrpc":"2.0","id":900,"result":{"roots":[]}}"#;
    let answer = post(&host, Some(&session), reply).await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let expected = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{reply}}}"#);
    assert_eq!(next(&mut body).await, expected);
}

#[tokio::test]
async fn one_at_a_time_listens_to_a_session() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let listen = || async {
        send(&host, Method::GET, Some(&session), "", 0)
            .await
            .unwrap()
    };
    let mut news = listen().await.into_body();
    assert_eq!(listen().await.status(), StatusCode::CONFLICT);
    post(&host, Some(&session), &request("tell")).await.unwrap();
    assert_eq!(next(&mut news).await, CHANGED);
    drop(news);
    assert_eq!(listen().await.status(), StatusCode::OK);
}

#[tokio::test]
async fn two_requests_may_have_one_id() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let begun = post(&host, Some(&session), &request("begin"))
        .await
        .unwrap();
    let answer = post(&host, Some(&session), &request("pid")).await.unwrap();
    assert!(
        whole(answer)
            .await
            .starts_with(br#"{"jsonrpc":"2.0","id":7,"#)
    );
    drop(begun);
}

#[tokio::test]
async fn letting_an_answer_go_cancels_its_request() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let news = send(&host, Method::GET, Some(&session), "", 0)
        .await
        .unwrap();
    let begun = post(&host, Some(&session), &request("begin"))
        .await
        .unwrap();
    drop(begun);
    assert_eq!(
        next(&mut news.into_body()).await,
        r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#
    );
}

#[tokio::test]
async fn a_request_that_its_client_takes_back_has_an_empty_answer() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let waits = request("silence");
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    let (answer, cancelled) = tokio::join!(post(&host, Some(&session), &waits), async {
        tokio::task::yield_now().await;
        post(&host, Some(&session), cancel).await
    });
    assert_eq!(cancelled.unwrap().status(), StatusCode::ACCEPTED);
    assert!(events(answer.unwrap()).await.is_empty());
}

#[tokio::test]
async fn d12_a_tool_that_takes_its_time_is_seen_to_be_under_way() {
    let limits = HostLimits {
        stream_after: Duration::from_millis(20),
        ..HostLimits::default()
    };
    let host = host(LEGACY, limits);
    let (session, _) = begin(&host, 0).await;
    let answer = post(&host, Some(&session), &request("tools/call"))
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
}

#[tokio::test]
async fn d2_a_session_whose_process_died_is_lost_and_another_can_begin() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let died = post(&host, Some(&session), &request("die")).await;
    assert!(
        matches!(&died, Err(HostError::Interrupted { reason }) if reason.contains("exit status: 3")),
        "{died:?}"
    );
    for message in [request("pid"), CHANGED.to_owned()] {
        let answer = post(&host, Some(&session), &message).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    let (another, _) = begin(&host, 0).await;
    assert_ne!(session, another);
}

#[tokio::test]
async fn d17_a_session_of_another_does_not_exist() {
    let host = host(LEGACY, HostLimits::default());
    let (session, _) = begin(&host, 1).await;
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let answer = send(&host, method, Some(&session), &request("pid"), 2).await;
        assert_eq!(answer.unwrap().status(), StatusCode::NOT_FOUND);
    }
    let answer = send(&host, Method::POST, Some(&session), &request("pid"), 1).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_for_each_owner() {
    let limits = HostLimits {
        capacity: Capacity::new(3),
        per_owner: 2,
        ..HostLimits::default()
    };
    let host = host(LEGACY, limits.clone());
    let initialize = request("initialize");
    let more = |owner| send(&host, Method::POST, None, &initialize, owner);
    let (session, process) = begin(&host, 1).await;
    begin(&host, 1).await;
    assert!(matches!(more(1).await, Err(HostError::Overloaded { .. })));
    begin(&host, 2).await;
    assert!(matches!(more(2).await, Err(HostError::Overloaded { .. })));
    assert_eq!((host.connections(), limits.capacity.available()), (3, 0));

    send(&host, Method::DELETE, Some(&session), "", 1)
        .await
        .unwrap();
    gone(process).await;
    crate::processes::eventually("room", || limits.capacity.available() == 1).await;
    begin(&host, 2).await;
}

/// Clients that were forgotten lock nobody out, whichever host they were at.
#[tokio::test]
async fn the_connection_that_is_idle_for_longest_makes_room() {
    let limits = HostLimits {
        capacity: Capacity::new(2),
        spare: Duration::ZERO,
        ..HostLimits::default()
    };
    let (one, two) = (host(LEGACY, limits.clone()), host(LEGACY, limits.clone()));
    let (oldest, process) = begin(&one, 1).await;
    let (older, _) = begin(&one, 1).await;
    begin(&two, 2).await;
    gone(process).await;
    let pid = request("pid");
    let ask = |session| send(&one, Method::POST, Some(session), &pid, 1);
    assert_eq!(ask(&oldest).await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(ask(&older).await.unwrap().status(), StatusCode::OK);

    // What is in use stays.
    let listening = send(&one, Method::GET, Some(&older), "", 1).await.unwrap();
    begin(&two, 2).await;
    assert_eq!(ask(&older).await.unwrap().status(), StatusCode::OK);
    drop(listening);
}

/// Clients that were forgotten do not lock out those of the same caller either.
#[tokio::test]
async fn of_an_owner_with_all_that_it_may_have_the_longest_idle_makes_room() {
    let limits = HostLimits {
        per_owner: 2,
        spare: Duration::ZERO,
        ..HostLimits::default()
    };
    let host = host(LEGACY, limits);
    let (other, _) = begin(&host, 2).await;
    let (oldest, process) = begin(&host, 1).await;
    let (older, _) = begin(&host, 1).await;
    let (young, _) = begin(&host, 1).await;
    gone(process).await;
    let pid = request("pid");
    for (session, owner, status) in [
        (&oldest, 1, StatusCode::NOT_FOUND),
        (&older, 1, StatusCode::OK),
        (&young, 1, StatusCode::OK),
        (&other, 2, StatusCode::OK),
    ] {
        let answer = send(&host, Method::POST, Some(session), &pid, owner).await;
        assert_eq!(answer.unwrap().status(), status);
    }
}

#[tokio::test]
async fn an_owner_that_has_all_it_may_have_ends_no_connection_of_another() {
    let limits = HostLimits {
        capacity: Capacity::new(2),
        per_owner: 1,
        spare: Duration::ZERO,
        ..HostLimits::default()
    };
    let host = host(LEGACY, limits);
    let (other, _) = begin(&host, 2).await;
    let (session, _) = begin(&host, 1).await;
    let listening = send(&host, Method::GET, Some(&session), "", 1)
        .await
        .unwrap();
    let more = send(&host, Method::POST, None, &request("initialize"), 1).await;
    assert!(matches!(more, Err(HostError::Overloaded { .. })));
    let answer = send(&host, Method::POST, Some(&other), &request("pid"), 2).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    drop(listening);
}

#[tokio::test]
async fn what_is_no_message_for_it_is_refused() {
    let host = host(LEGACY, HostLimits::default());
    let bad = StatusCode::BAD_REQUEST;
    for (method, body, status) in [
        (Method::POST, "[]", bad),
        (Method::POST, "{", bad),
        (
            Method::POST,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            bad,
        ),
        (
            Method::POST,
            r#"{"jsonrpc":"2.0","method":"initialize"}"#,
            bad,
        ),
        (Method::GET, "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = send(&host, method, None, body, 0).await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
    }
    assert_eq!(host.connections(), 0);
}

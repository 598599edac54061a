use std::time::Duration;

use bartizan_transport::host::{HostError, HostLimits};
use http::Method;

use crate::{
    processes::{gone, shell, soon},
    server::{MODERN, begin, host, host_of, modern, next, pid, post, request, send, whole},
};

#[tokio::test]
async fn a_ping_starts_nothing() {
    let host = host(MODERN, HostLimits::default());
    assert_eq!(host.ping().await, None);
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn any_answer_to_a_ping_is_one() {
    let host = host(MODERN, HostLimits::default());
    begin(&host, 3).await;
    for _ in 0..2 {
        let answer = host.ping().await.unwrap().unwrap();
        assert!(answer.starts_with(br#"{"jsonrpc":"2.0","id":"bartizan-ping-"#));
        assert!(answer.ends_with(br#""error":{"code":-32601,"message":"no"}}"#));
    }
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn pings_keep_nothing_alive() {
    let limits = HostLimits {
        idle: Duration::from_millis(200),
        ..HostLimits::default()
    };
    let host = host(MODERN, limits);
    let shared = pid(&whole(post(&host, None, &modern("pid")).await.unwrap()).await);
    let pinging = async {
        while host.ping().await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(pinging).await;
    gone(shared).await;
}

#[tokio::test]
async fn a_server_that_dies_gave_no_answer() {
    let server =
        r#"read -r line; echo '{"jsonrpc":"2.0","id":7,"result":{}}'; read -r line; exit 3"#;
    let host = host_of(shell(server), HostLimits::default());
    post(&host, None, &request("initialize")).await.unwrap();
    let error = soon(host.ping()).await.unwrap().unwrap_err();
    assert!(matches!(error, HostError::Interrupted { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_hangs_leaves_the_wait_to_who_asked() {
    let server = r#"read -r line; echo '{"jsonrpc":"2.0","id":7,"result":{}}'; exec sleep 600"#;
    let host = host_of(shell(server), HostLimits::default());
    post(&host, None, &request("initialize")).await.unwrap();
    let ping = tokio::time::timeout(Duration::from_millis(100), host.ping());
    assert!(ping.await.is_err());
}

/// Asks something in the middle of `ping`, which it answers once it knows.
const ASKS_IN_A_PING: &str = r#"
while read -r line; do
  id=${line#*'"id":'}; id=${id%%,*}
  case $line in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":1}}';;
    *'"ping"'*)
      echo '{"jsonrpc":"2.0","id":900,"method":"roots/list"}'
      read -r answer
      echo '{"jsonrpc":"2.0","id":'$id',"result":{}}';;
  esac
done
"#;

#[tokio::test]
async fn a_ping_takes_no_question_away() {
    let host = host_of(shell(ASKS_IN_A_PING), HostLimits::default());
    let (session, _) = begin(&host, 0).await;
    let listening = send(&host, Method::GET, Some(&session), "", 0).await;
    let mut news = listening.unwrap().into_body();
    let client = async {
        let asked = next(&mut news).await;
        assert!(asked.ends_with(br#""method":"roots/list"}"#));
        let answer = r#"{"jsonrpc":"2.0","id":900,"result":{"roots":[]}}"#;
        post(&host, Some(&session), answer).await.unwrap();
    };
    let (pinged, ()) = tokio::join!(soon(host.ping()), client);
    assert!(pinged.unwrap().is_ok());
}

//! A host that has no file descriptor left for a connection to a server of HTTP+SSE.

use std::{fs::File, time::Duration};

use bartizan_client::{Client, ClientConfig};
use bartizan_clock::Clock;
use bartizan_testkit::{Reply, Upstream, with_few_files};
use bartizan_transport::{
    host::{Connect, Host, HostError, HostLimits},
    sse::SseLimits,
};
use bytes::Bytes;
use http::{Request, StatusCode};

#[test]
fn that_a_connection_has_no_room_is_no_failure_of_its_server() {
    with_few_files(starve());
}

async fn starve() {
    let upstream = Upstream::start_with(|_| Reply::status(403)).await;
    let url = format!("{}/sse", upstream.url()).parse().unwrap();
    let client = Client::new(&ClientConfig::default()).unwrap();
    let connect = Connect::sse(client, url, SseLimits::default());
    let host = Host::new(connect, HostLimits::default(), Clock::tokio());
    let initialize = || {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
        Request::post("/").body(Bytes::from(body)).unwrap()
    };
    let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let more = host.call(initialize(), 0).await;
    assert!(
        matches!(more, Err(HostError::Overloaded { .. })),
        "{more:?}"
    );
    assert!(!host.failed_within(Duration::from_secs(60)));
    drop(hoard);
    let answer = host.call(initialize(), 0).await;
    assert_eq!(answer.unwrap().status(), StatusCode::FORBIDDEN);
}

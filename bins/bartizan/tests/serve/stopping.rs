//! How it stops, whatever is under way.

use std::{fs::File, time::Duration};

use bartizan_testkit::{Reply, TokenIssuer, Upstream};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    backend, before,
    common::{Bartizan, PATIENCE, Running, curl::try_curl},
    pipe,
};

#[tokio::test]
async fn a_signal_lets_calls_under_way_finish() {
    for name in ["TERM", "INT"] {
        let backend = backend().await;
        backend.handle(|_| Reply::json("{}").after(Duration::from_millis(500)));
        let gateway = before(&backend).start().await;
        let stop = async {
            backend.arrived(1).await;
            gateway.signal(name).await;
            gateway.logs("draining").await;
            let late = TcpStream::connect(gateway.address()).await;
            assert!(late.is_err(), "nobody new comes in");
        };
        let (reply, ()) = tokio::join!(gateway.call("getUser"), stop);
        assert_eq!(reply.json()["success"], true, "{reply:?}");
        let finished = gateway.ended().await;
        assert_eq!(finished.status.code(), Some(0), "{name}: {finished:?}");
        let log = &finished.stderr;
        assert!(log.contains("stopped finished=1 aborted=0"), "{log}");
    }
}

#[tokio::test]
async fn a_call_that_is_stuck_does_not_keep_it_from_stopping() {
    let backend = backend().await;
    backend.handle(|_| Reply::hang());
    // The call may take longer than this test waits.
    let gateway = before(&backend)
        .set("MCP_GATEWAY_DRAIN_TIMEOUT", 300)
        .user("TIMEOUT", 60_000)
        .start()
        .await;
    let url = gateway.url("/mcp/request");
    let body = r#"{"service":"user-service","operation":"getUser"}"#;
    let arguments = ["--max-time", "60", "--data", body, &url];
    let stop = async {
        backend.arrived(1).await;
        gateway.stop().await
    };
    let (reply, finished) = tokio::join!(try_curl(&arguments), stop);
    assert!(reply.is_err(), "{reply:?}");
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let log = &finished.stderr;
    assert!(log.contains("stopped finished=0 aborted=1"), "{log}");
}

#[tokio::test]
async fn a_refresh_token_that_is_being_replaced_is_saved_before_it_stops() {
    let (backend, issuer) = (backend().await, TokenIssuer::start(Some(3600)).await);
    issuer.delay(Duration::from_secs(1));
    // Not that of the gateway, which goes with it.
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("saved");
    let gateway = before(&backend)
        .unset("MCP_SERVICE_USER_SERVICE_TOKEN")
        .user("AUTH_TYPE", "oauth2")
        .user("CLIENT_ID", "gateway")
        .user("REFRESH_TOKEN", "refresh-0")
        .user("REFRESH_TOKEN_STORE", store.display())
        .user("TOKEN_URL", issuer.url())
        .start()
        .await;
    let asked = async {
        for _ in 0..2_000 {
            if issuer.hits() > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the issuer was never asked");
    };
    // The client goes away, so that no call is waited for.
    tokio::select! {
        reply = gateway.call("getUser") => panic!("{reply:?}"),
        () = asked => {}
    }
    let finished = gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let saved = std::fs::read_to_string(&store).unwrap_or_default();
    assert!(saved.contains("refresh-1"), "{saved:?}");
}

/// A call that may take longer than a test waits, and so may the drain.
async fn stuck(configure: impl FnOnce(Bartizan) -> Bartizan) -> (Upstream, Running, Child) {
    let backend = backend().await;
    backend.handle(|_| Reply::hang());
    let gateway = before(&backend)
        .set("MCP_GATEWAY_DRAIN_TIMEOUT", 60_000)
        .user("TIMEOUT", 60_000);
    let gateway = configure(gateway).start().await;
    let url = gateway.url("/mcp/request");
    let body = r#"{"service":"user-service","operation":"getUser"}"#;
    let mut call = Command::new("curl");
    call.args([
        "--disable",
        "--noproxy",
        "*",
        "--silent",
        "--data",
        body,
        &url,
    ]);
    let call = call.kill_on_drop(true).spawn().unwrap();
    backend.arrived(1).await;
    (backend, gateway, call)
}

#[tokio::test]
async fn a_second_signal_ends_the_drain() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let (_backend, gateway, _call) = stuck(|it| it).await;
        gateway.signal(first).await;
        gateway.logs("draining open=1").await;
        gateway.signal(second).await;
        let finished = gateway.ended().await;
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        let log = &finished.stderr;
        assert!(log.contains("stopped finished=0 aborted=1"), "{log}");
        assert!(
            log.contains("connections cut: told to cut them aborted=1"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_delay_before_the_drain() {
    let delayed = |it: Bartizan| it.set("MCP_GATEWAY_DRAIN_DELAY", 60_000);
    let (_backend, gateway, _call) = stuck(delayed).await;
    gateway.signal("INT").await;
    let unready = async { while gateway.get("/readyz").await.status != 503 {} };
    timeout(PATIENCE, unready).await.expect("it is not ready");
    gateway.signal("INT").await;
    let finished = gateway.ended().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(finished.stderr.contains("stopped"), "{finished:?}");
    assert!(!finished.stderr.contains("aborted=0"), "{finished:?}");
}

/// A file that nobody can say the end of, as one of a network that has gone away.
#[tokio::test]
async fn what_cannot_be_read_to_its_end_does_not_keep_it_from_stopping() {
    let backend = backend().await;
    let gateway = before(&backend).file(".env", "").start().await;
    let env = gateway.directory().join(".env");
    std::fs::remove_file(&env).unwrap();
    pipe(&env).await;
    gateway.signal("HUP").await;
    // Completes when the gateway has begun to read, and keeps it from hearing the end.
    let open = spawn_blocking(move || File::options().write(true).open(env));
    let open = timeout(PATIENCE, open).await.expect("the file is read");
    let _open = open.unwrap().unwrap();
    let finished = gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(finished.stderr.contains("stopped"), "{finished:?}");
}

//! Callers that leave, a gateway that stops, and what watches it.

use std::{sync::Arc, time::Duration};

use bartizan_testkit::Reply;
use http::StatusCode;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{backend, variables};

#[tokio::test]
async fn a_caller_that_leaves_takes_its_call_along() {
    let backend = backend().await;
    backend.handle(|_| Reply::hang());
    let gateway = variables(&backend)
        .user("CB_FAILURE_THRESHOLD", 1)
        .start()
        .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = r#"{"service":"user-service","operation":"createOrder"}"#;
    let request = format!(
        "POST /mcp/request HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    backend.arrived(1).await;
    drop(stream);
    let in_flight = "bartizan_service_in_flight";
    gateway.until_metric(in_flight, "user-service", 0).await;
    let health = gateway.get("/mcp/health").await.json();
    assert_eq!(
        health["services"][0]["status"], "healthy",
        "leaving is no failure"
    );
}

#[tokio::test]
async fn a_drain_finishes_what_was_begun() {
    let backend = backend().await;
    backend.handle(|_| Reply::json("{}").after(Duration::from_millis(400)));
    let gateway = Arc::new(variables(&backend).start().await);
    let caller = Arc::clone(&gateway);
    let call = tokio::spawn(async move {
        let answer = caller.call("getUser").await;
        drop(caller);
        answer
    });
    backend.arrived(1).await;
    let address = gateway.address;
    let stop = gateway.stopper();
    stop.stop();
    let answer = call.await.unwrap();
    assert_eq!(answer.json()["success"], true);
    let gateway = Arc::into_inner(gateway).unwrap();
    let drained = gateway.stop().await;
    assert_eq!(drained.aborted, 0);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nothing listens any more"
    );
}

#[tokio::test]
async fn a_drain_is_announced_before_the_port_closes() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .set("MCP_GATEWAY_DRAIN_DELAY", 600)
        .start()
        .await;
    assert_eq!(gateway.get("/readyz").await.status, StatusCode::OK);
    let stopper = gateway.stopper();
    stopper.stop();
    while gateway.get("/readyz").await.status != StatusCode::SERVICE_UNAVAILABLE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // New connections are still served, by then of callers who have not heard yet.
    TcpStream::connect(gateway.address).await.unwrap();
    assert_eq!(gateway.call("getUser").await.json()["success"], true);
    let address = gateway.address;
    assert_eq!(gateway.stop().await.aborted, 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn probes_answer_and_metrics_are_prometheus() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    gateway.call("getUser").await;
    assert_eq!(gateway.get("/livez").await.status, StatusCode::OK);
    assert_eq!(gateway.get("/readyz").await.status, StatusCode::OK);
    let metrics = gateway.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("service=\"user-service\""), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

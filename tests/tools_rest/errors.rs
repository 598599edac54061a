//! What a call that fails is answered.

use bartizan_testkit::{Reply, Upstream};
use http::{Method, StatusCode};
use serde_json::json;

use crate::{CALL, Place, detail, documented, gateway, manifest};

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_with_its_place() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for (body, kind, input) in [
        ("[1]", "dict_type", json!([1])),
        ("\"text\"", "dict_type", json!("text")),
        ("{\"a\" 1}", "json_invalid", json!(null)),
        ("{\"a\": 1} {}", "json_invalid", json!(null)),
    ] {
        let answer = gateway.post_to(CALL, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let fault = &answer.json()["detail"][0];
        assert_eq!((&fault["type"], &fault["input"]), (&json!(kind), &input));
        assert_eq!(fault["loc"][0], "body");
        assert!(fault["msg"].is_string());
    }
    for (method, path) in [
        (Method::GET, CALL),
        (Method::POST, "/tools"),
        (Method::POST, "/health"),
    ] {
        let request = gateway.request(method, path, &[], "");
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
    }
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn errors_of_a_backend_pass_as_documented() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for (status, expected) in [
        (400, 400),
        (404, 404),
        (409, 409),
        (422, 422),
        (401, 502),
        (500, 500),
        (302, 502),
    ] {
        backend.reply(Reply::status(status).body("no such thing"));
        let answer = gateway.post_to(CALL, "{}").await;
        assert_eq!(answer.status.as_u16(), expected, "{status}");
        assert_eq!(
            detail(&answer),
            format!("Backend error: {status} no such thing")
        );
    }
    for body in [b"plain text".as_slice(), b"\"\xe9\""] {
        backend.reply(Reply::json(body));
        let answer = gateway.post_to(CALL, "{}").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            detail(&answer),
            "Backend error: the answer is not valid JSON"
        );
    }
    backend.reply(Reply::json("x").header("content-encoding", "gzip"));
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(
        detail(&answer),
        "Backend error: the answer is encoded as gzip, which nobody asked for"
    );
    backend.reply(Reply::close());
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(detail(&answer).starts_with("Backend error: "));
}

#[tokio::test]
async fn a_backend_that_takes_too_long_is_a_timeout() {
    let backend = manifest().await;
    let place = Place::new(&documented(backend.address().port(), ""));
    let variables = place.variables().set("MCP_SERVICE_MANIFEST_TIMEOUT", 100);
    let gateway = variables.start().await;
    backend.reply(Reply::hang());
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(detail(&answer), "Backend timeout: no answer within 100ms");
}

#[tokio::test]
async fn an_open_circuit_is_an_unhealthy_backend() {
    let backend = manifest().await;
    let place = Place::new(&documented(backend.address().port(), ""));
    let variables = place
        .variables()
        .set("MCP_SERVICE_MANIFEST_CB_FAILURE_THRESHOLD", 1);
    let gateway = variables.start().await;
    backend.reply(Reply::status(500));
    gateway.post_to(CALL, "{}").await;
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(detail(&answer), "Backend server unhealthy: manifest");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(wait > 0);
    assert_eq!(gateway.get("/health").await.json()["status"], "unhealthy");
    let list = gateway.get("/tools").await.json();
    assert_eq!(list["tools"][0]["health_status"], "unhealthy", "{list}");
}

#[tokio::test]
async fn fault_12_a_connection_that_fails_is_503() {
    let nobody = Upstream::nobody();
    let place = Place::new(&documented(nobody.port(), ""));
    let gateway = place
        .variables()
        .set("HEALTH_CHECK_INTERVAL", 300)
        .start()
        .await;
    let answer = gateway.post_to(CALL, "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(detail(&answer), "Backend server unhealthy: manifest");
}

//! Callers that mean no good, or send what nobody can read.

use std::time::Duration;

use bartizan_testkit::Reply;
use bartizan_tests::Variables;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{backend, variables};

#[tokio::test]
async fn callers_need_a_key_where_keys_are_configured() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .set(
            "MCP_GATEWAY_API_KEYS",
            "first-key-1234567890,second-key-1234567890",
        )
        .start()
        .await;
    let body = r#"{"service":"user-service","operation":"getUser"}"#;
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("x-api-key", "first-key-123456789")],
        vec![("authorization", "Basic first-key-1234567890")],
    ] {
        let answer = gateway.post_with(&headers, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(
        gateway.get("/mcp/services").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(gateway.get("/livez").await.status, StatusCode::OK);
    assert_eq!(backend.hits(), 0);
    for headers in [
        [("authorization", "Bearer second-key-1234567890")],
        [("x-api-key", "first-key-1234567890")],
    ] {
        assert_eq!(
            gateway.post_with(&headers, body).await.status,
            StatusCode::OK
        );
    }
    assert_eq!(
        backend.requests()[0].header("authorization"),
        Some("Bearer s3cr3t-token")
    );
}

#[tokio::test]
async fn an_operation_cannot_leave_api() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    for operation in [
        "../health",
        "users/123?x=1",
        "a/../../b",
        "%2e%2e/health",
        "a#b",
        "//evil.example/x",
        "a\\\\..\\\\b",
        "x\\r\\nHost: evil",
        "",
    ] {
        let answer = gateway.call(operation).await;
        assert_eq!(
            answer.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{operation}"
        );
        assert!(
            answer.message().starts_with("invalid operation"),
            "{operation}"
        );
    }
    assert_eq!(backend.hits(), 0);
    gateway.call("users/123/orders").await;
    assert_eq!(backend.requests()[0].uri.path(), "/api/users/123/orders");
}

#[tokio::test]
async fn every_dash_of_a_name_becomes_an_underscore() {
    let backend = backend().await;
    let gateway = Variables::default()
        .set("MCP_SERVICES", "my-cool-service")
        .set("MCP_SERVICE_MY_COOL_SERVICE_ENDPOINT", backend.url())
        .set("MCP_SERVICE_MY_COOL_SERVICE_AUTH_TYPE", "none")
        .start()
        .await;
    let answer = gateway
        .post(r#"{"service":"my-cool-service","operation":"o"}"#)
        .await;
    assert_eq!(answer.json()["success"], true);
}

#[tokio::test]
async fn ids_cannot_smuggle_headers() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    for member in ["correlationId", "agentId", "idempotencyKey"] {
        let body = format!(
            r#"{{"service":"user-service","operation":"o","metadata":{{"{member}":"a\r\nX-Evil: 1"}}}}"#
        );
        let message = gateway.post(body).await.message();
        assert_eq!(
            message,
            format!("metadata.{member} must not contain control characters")
        );
    }
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_and_named() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    let answer = gateway.post(vec![b' '; 11 * 1024 * 1024]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.message(),
        "request entity too large: the limit is 10485760 bytes"
    );
    assert_eq!(backend.hits(), 0);
}

/// 256 MiB, of which four of 60 MiB leave room for small ones only.
#[tokio::test]
async fn large_bodies_take_up_a_bounded_part_of_the_memory_together() {
    const MIB: usize = 1024 * 1024;
    let backend = backend().await;
    backend.handle(|request| match request.body.len() {
        ..MIB => Reply::json("{}"),
        _ => Reply::hang(),
    });
    let gateway = variables(&backend)
        .set("MCP_GATEWAY_MAX_BODY_BYTES", 64 * MIB)
        .user("TIMEOUT", 60_000)
        .start()
        .await;
    let filler = "x".repeat(60 * MIB);
    let large = json!({ "service": "user-service", "operation": "import", "id": "1",
        "parameters": { "filler": filler } })
    .to_string();
    let large = bytes::Bytes::from(large);

    let four = async {
        let calls = [(); 4].map(|()| gateway.post(large.clone()));
        futures_util::future::join_all(calls).await
    };
    let fifth = async {
        backend.arrived(4).await;
        let small = gateway.call("getUser").await;
        (gateway.post(large.clone()).await, small)
    };
    tokio::select! {
        answers = four => panic!("{:?}", answers.iter().map(bartizan_tests::Answer::message).collect::<Vec<_>>()),
        (refused, small) = fifth => {
            assert_eq!(small.json()["success"], true);
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(refused.header("retry-after"), Some("1"));
        }
    }

    // The four have gone, and their room is free.
    backend.handle(|_| Reply::json("{}"));
    let served = async { while gateway.post(large.clone()).await.status != StatusCode::OK {} };
    let served = tokio::time::timeout(Duration::from_secs(20), served).await;
    assert!(served.is_ok());
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_such() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    let body = "{\"service\":\"user-service\",\"operation\":\"getUser\"}";
    for path in ["/mcp/request", "/mcp", "/tools/call"] {
        for coding in ["gzip", "identity, br"] {
            let headers = [("content-encoding", coding)];
            let request = gateway.request(Method::POST, path, &headers, body);
            let answer = gateway.send(request).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
            assert_eq!(answer.header("accept-encoding"), Some("identity"), "{path}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(text.contains("is compressed"), "{path}: {text}");
        }
    }
    assert_eq!(backend.hits(), 0);
    let answer = gateway.post_with(&[("content-encoding", "identity")], body);
    assert_eq!(answer.await.status, StatusCode::OK);
}

/// Whoever receives a byte order mark may ignore it (RFC 8259, section 8.1).
#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_what_is_asked_or_answered() {
    let backend = backend().await;
    backend.reply(Reply::json("\u{FEFF}{\"n\":1.10}"));
    let gateway = variables(&backend).start().await;
    let body = "\u{FEFF}{\"service\":\"user-service\",\"operation\":\"getUser\"}";
    let answer = gateway.post(body).await;
    assert_eq!(answer.json()["data"]["n"], 1.10, "{answer:?}");
}

#[tokio::test]
async fn a_half_sent_body_ends_in_time() {
    let backend = backend().await;
    let gateway = variables(&backend)
        .set("MCP_GATEWAY_BODY_READ_TIMEOUT", 300)
        .start()
        .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"POST /mcp/request HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"ser")
        .await
        .unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("the request body did not arrive in time"),
        "{answer}"
    );
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn hostile_headers_are_refused_and_the_gateway_lives_on() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    let huge = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(200_000)
    );
    let many = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "a: b\r\n".repeat(500)
    );
    for (request, expected) in [
        (
            "GET /livez HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (
            "GET /livez HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (
            "POST /mcp/request HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 400",
        ),
        (&huge, "HTTP/1.1 431"),
        (&many, "HTTP/1.1 431"),
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 64];
        let read = stream.read(&mut answer);
        let length = tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .unwrap()
            .unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..length]);
        let request = &request[..request.len().min(60)];
        assert!(answer.starts_with(expected), "{request:?}: {answer:?}");
    }
    assert_eq!(gateway.get("/livez").await.body, "ok\n");
}

/// Over HTTP/1.1, where RFC 9112, section 3.2, wants a request refused that is for no host, or for
/// several: who stands before the gateway may have gone by another than the gateway does.
#[tokio::test]
async fn a_request_names_one_host() {
    let backend = backend().await;
    let gateway = variables(&backend).start().await;
    for (version, hosts, status) in [
        ("1.1", "host: a.example\r\n", "200"),
        ("1.1", "host:\r\n", "200"),
        ("1.0", "", "200"),
        ("1.1", "", "400"),
        ("1.1", "host: a.example\r\nhost: b.example\r\n", "400"),
        ("1.1", "host: a b\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = format!("GET /livez HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.contains(status), "{version} {hosts:?}: {answer}");
    }
}

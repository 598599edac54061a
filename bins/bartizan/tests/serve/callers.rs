//! What it answers to browsers, and to those who do everything wrong.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    backend, before,
    common::{
        self, PATIENCE, Running,
        curl::{curl, try_curl},
    },
};

/// Writes to the gateway as no client would, and reads what comes until it closes.
async fn raw(gateway: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is reset ends what was read just as well.
    let end = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    end.expect("the gateway hangs up").ok();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn web_pages_may_read_what_the_configuration_allows() {
    let backend = backend().await;
    let allowed = |reply: &common::Reply| {
        let origin = reply.header("access-control-allow-origin");
        origin.map(str::to_owned)
    };
    for (configured, asking, expected) in [
        (None, "https://a.example", Some("*")),
        (Some("*"), "https://a.example", Some("*")),
        (
            Some("https://a.example, https://b.example"),
            "https://b.example",
            Some("https://b.example"),
        ),
        (
            Some("https://a.example"),
            "https://a.example.evil.example",
            None,
        ),
        (Some("https://a.example"), "http://a.example", None),
        (Some("none"), "https://a.example", None),
    ] {
        let gateway = before(&backend);
        let gateway = match configured {
            Some(origins) => gateway.set("MCP_GATEWAY_CORS_ORIGINS", origins),
            None => gateway,
        };
        let gateway = gateway.start().await;
        let origin = format!("Origin: {asking}");
        let url = gateway.url("/mcp/request");
        let body = r#"{"service":"user-service","operation":"getUser"}"#;
        let preflight = curl(&["--request", "OPTIONS", "--header", &origin, &url]).await;
        let call = curl(&["--data", body, "--header", &origin, &url]).await;
        let called = if expected.is_some() { 200 } else { 403 };
        assert_eq!((preflight.status, call.status), (200, called));
        for reply in [&preflight, &call] {
            assert_eq!(
                allowed(reply).as_deref(),
                expected,
                "{configured:?}: {reply:?}"
            );
            assert_eq!(reply.header("access-control-allow-credentials"), None);
        }
    }
}

#[tokio::test]
async fn connections_above_the_bound_wait() {
    let backend = backend().await;
    let gateway = before(&backend).set("MCP_GATEWAY_MAX_CONNECTIONS", 1);
    let gateway = gateway.start().await;
    let mut first = TcpStream::connect(gateway.address()).await.unwrap();
    first
        .write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert_ne!(first.read(&mut [0; 1024]).await.unwrap(), 0);

    let url = gateway.url("/livez");
    let second = try_curl(&["--max-time", "0.5", &url]).await;
    assert!(
        second.unwrap_err().contains("(28)"),
        "it waits for the first"
    );
    drop(first);
    assert_eq!(curl(&[&url]).await.status, 200);
}

#[tokio::test]
async fn slow_and_silent_clients_are_cut_off() {
    let backend = backend().await;
    let gateway = before(&backend)
        .set("MCP_GATEWAY_HEADER_READ_TIMEOUT", 200)
        .set("MCP_GATEWAY_BODY_READ_TIMEOUT", 200)
        .start()
        .await;
    assert_eq!(raw(&gateway, b"").await, "");
    assert_eq!(
        raw(&gateway, b"POST /mcp/request HTTP/1.1\r\nhost: a\r\n").await,
        ""
    );

    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let drip = async {
        while stream.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, drip)
        .await
        .expect("dripping does not help");

    let half = b"POST /mcp/request HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n{\"ser";
    let answer = raw(&gateway, half).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("the request body did not arrive in time"),
        "{answer}"
    );
    assert_eq!(backend.hits(), 0);
    assert_eq!(gateway.get("/livez").await.status, 200);
}

#[tokio::test]
async fn bad_input_gets_a_clear_answer_from_curl() {
    let backend = backend().await;
    // Each with what the documented API answers, and what strict callers get.
    #[rustfmt::skip]
    let bodies = [
        ("{", 500, 400, "the request body is not valid JSON"),
        (r#"{"service":"user-service","operation":"o"}}"#, 500, 400, "the request body is not valid JSON"),
        (r#"{"service":1,"operation":"o"}"#, 500, 400, "service must be a string, not a number"),
        (r#"{"service":"user-service","operation":["o"]}"#, 500, 400, "operation must be a string, not an array"),
        (r#"{"service":"nobody","operation":"o"}"#, 500, 404, "Service nobody not configured"),
        (r#"{"service":"user-service","operation":"../admin"}"#, 500, 400, "invalid operation"),
        (r#"{"service":"user-service","operation":"a/../../admin"}"#, 500, 400, "invalid operation"),
        (r#"{"service":"user-service","operation":"%2e%2e/admin"}"#, 500, 400, "invalid operation"),
        (r#"{"service":"user-service","operation":"o","metadata":{"correlationId":"a\r\nX-Evil: 1"}}"#, 500, 400, "metadata.correlationId must not contain control characters"),
        ("@large", 500, 413, "request entity too large: the limit is 10485760 bytes"),
    ];
    for strict in [false, true] {
        let gateway = before(&backend)
            .file("large", &" ".repeat(11 * 1024 * 1024))
            .set("MCP_GATEWAY_STRICT_STATUS", strict)
            .set("MCP_GATEWAY_BODY_READ_TIMEOUT", 500)
            .start()
            .await;
        let large = format!("@{}", gateway.directory().join("large").display());
        let text = |reply: &common::Reply| {
            if strict {
                assert_eq!(
                    reply.header("content-type"),
                    Some("application/problem+json")
                );
                reply.json()["detail"].as_str().unwrap().to_owned()
            } else {
                reply.message()
            }
        };
        for (body, documented, proper, message) in bodies {
            let sent = if body == "@large" { &large } else { body };
            for more in [&[][..], &["--header", "Transfer-Encoding: chunked"]] {
                let reply = gateway.post(sent, more).await;
                let expected = if strict { proper } else { documented };
                assert_eq!(reply.status, expected, "{body}: {reply:?}");
                let text = text(&reply);
                assert!(text.starts_with(message), "{body}: {text}");
            }
        }

        let half = gateway
            .post("{\"ser", &["--header", "Content-Length: 99"])
            .await;
        assert_eq!(half.status, 408, "{half:?}");
        assert_eq!(text(&half), "the request body did not arrive in time");

        let long = format!("X-Long: {}", "y".repeat(100_000));
        let many: Vec<_> = (0..200)
            .flat_map(|n| ["--header".to_owned(), format!("X-{n}: y")])
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for (headers, status) in [
            (&["--header", long.as_str()][..], 431),
            (&many, 431),
            (&["--header", "X-Control: a\u{1}b"], 400),
            (&["--header", "X Blank: a"], 400),
            (&["--header", "Content-Length: -1"], 400),
        ] {
            let reply = gateway.post("{}", headers).await;
            assert_eq!(reply.status, status, "{headers:?}: {reply:?}");
        }

        assert_eq!(backend.hits(), 0, "no backend was troubled");
        assert_eq!(gateway.get("/livez").await.body, "ok\n");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_get_a_clear_answer() {
    let backend = backend().await;
    let gateway = before(&backend).start().await;
    let unknown = gateway.get("/nowhere?token=s3cr3t").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.message(), "Cannot GET /nowhere");
    let method = gateway.get("/mcp/request").await;
    assert_eq!(method.status, 405);
    assert_eq!(method.header("allow"), Some("POST"));
}

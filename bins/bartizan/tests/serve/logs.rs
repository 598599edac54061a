//! What it logs, and what it must not.

use bartizan_testkit::{Reply, TokenIssuer, Upstream};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    backend, before,
    common::{PATIENCE, Running, curl::curl, signal},
    issue, pipe, tls_backend,
};

/// What happened, in numbers that a program can read and words that are so.
#[tokio::test]
async fn the_log_says_what_was_asked_of_it() {
    let backend = backend().await;
    let gateway = before(&backend)
        .set("MCP_GATEWAY_LOG_FORMAT", "json")
        .set("MCP_GATEWAY_DRAIN_DELAY", 300)
        .set("MCP_SERVICES", "user-service,health")
        .set("MCP_SERVICE_HEALTH_ENDPOINT", backend.url())
        .set("MCP_SERVICE_HEALTH_AUTH_TYPE", "none")
        .start()
        .await;
    let line = |message: &str| -> Value {
        let log = gateway.log();
        let mut lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let found = lines.find(|it: &Value| it["message"].as_str().unwrap().contains(message));
        found.unwrap_or_else(|| panic!("no {message:?} in\n{log}"))
    };
    let named = line("this name has another meaning below /mcp/");
    let named = named["message"].as_str().unwrap();
    assert!(named.ends_with("but at /mcp/request"), "{named}");

    let endpoint = backend.url();
    for (id, ttl, seconds) in [
        ("a", ",\"ttl\":5", Value::from(5.0)),
        ("b", "", Value::Null),
    ] {
        let body = format!(
            r#"{{"template_name":"t","instance":{{"id":"{id}","endpoint":"{endpoint}"}}{ttl}}}"#
        );
        let url = gateway.url("/gateway/register");
        let json = "content-type: application/json";
        let reply = curl(&["--data-binary", &body, "--header", json, &url]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let log = gateway.log();
        let registered = log.lines().rfind(|it| it.contains("instance registered"));
        let registered: Value = serde_json::from_str(registered.unwrap()).unwrap();
        assert_eq!(
            (&registered["id"], &registered["ttl_seconds"]),
            (&id.into(), &seconds)
        );
        assert!(registered["ttl"].is_null(), "{registered}");
    }

    gateway.signal("HUP").await;
    gateway
        .logs("configuration read again, nothing changed")
        .await;
    assert!(!gateway.log().contains("configuration changed"));
    gateway.signal("TERM").await;
    gateway.logs("told to stop").await;
    assert!(!gateway.log().contains("draining"));
    assert_eq!(line("told to stop")["drain_delay_ms"], 300);
    gateway.ended().await;
}

#[tokio::test]
async fn a_registry_that_is_no_file_any_more_is_told_of() {
    let backend = backend().await;
    let gateway = before(&backend)
        .set("MCP_GATEWAY_REGISTRY_FILE", "registry.json")
        .file("registry.json", r#"{"templates":{}}"#)
        .start()
        .await;
    let registry = gateway.directory().join("registry.json");
    std::fs::remove_file(&registry).unwrap();
    pipe(&registry).await;
    gateway.logs("not a file").await;
    let finished = gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

/// `bartizan 2>&1 | head -1`: whoever read the log has gone.
#[tokio::test]
async fn it_serves_on_when_nobody_reads_its_log() {
    let backend = backend().await;
    let address = Upstream::nobody();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (mut child, _directory) = before(&backend)
        .set("MCP_GATEWAY_PORT", address.port())
        .set("MCP_GATEWAY_LOG_LEVEL", "trace")
        .stderr(writer)
        .spawn();
    let url = format!("http://{address}/mcp/request");
    let body = r#"{"service":"user-service","operation":"getUser"}"#;
    for _ in 0..3 {
        let retried = ["--retry", "20", "--retry-connrefused", "--retry-delay", "1"];
        let reply = curl(&[&retried[..], &["--data", body, &url]].concat()).await;
        assert_eq!(reply.json()["success"], true);
    }
    signal(&child, "TERM").await;
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

/// What no log may show begins with this, or is made from something that does.
const SECRET: &str = "s3cr3t";

/// Services with every kind of credential, one of them over HTTP/2.
async fn confidants(format: &str, backend: &Upstream, issuer: &TokenIssuer) -> Running {
    let names = "user-service,keyed,basic,oauth,tls,tls-keyed,down";
    let gateway = before(backend)
        .set("MCP_GATEWAY_LOG_LEVEL", "trace")
        .set("MCP_GATEWAY_LOG_FORMAT", format)
        .set("MCP_GATEWAY_API_KEYS", "s3cr3t-inbound-key")
        .set("MCP_GATEWAY_UPSTREAM_CA_FILE", "tls.pem")
        .set("MCP_RETRY_INITIAL_DELAY", 1)
        .set("MCP_SERVICES", names)
        .set("MCP_SERVICE_KEYED_ENDPOINT", backend.url())
        .set("MCP_SERVICE_KEYED_AUTH_TYPE", "api-key")
        .set("MCP_SERVICE_KEYED_API_KEY", "s3cr3t-key")
        .set("MCP_SERVICE_KEYED_API_KEY_IN", "query")
        .set("MCP_SERVICE_KEYED_API_KEY_NAME", "key")
        .set("MCP_SERVICE_BASIC_ENDPOINT", backend.url())
        .set("MCP_SERVICE_BASIC_AUTH_TYPE", "basic")
        .set("MCP_SERVICE_BASIC_USERNAME", "ada")
        .set("MCP_SERVICE_BASIC_PASSWORD", "s3cr3t-password")
        .set("MCP_SERVICE_OAUTH_ENDPOINT", backend.url())
        .set("MCP_SERVICE_OAUTH_AUTH_TYPE", "oauth2")
        .set("MCP_SERVICE_OAUTH_REFRESH_TOKEN", "refresh-0")
        .set("MCP_SERVICE_OAUTH_TOKEN_URL", issuer.url())
        .set("MCP_SERVICE_OAUTH_CLIENT_ID", "gateway")
        .set("MCP_SERVICE_OAUTH_CLIENT_SECRET", "s3cr3t-client")
        .set("MCP_SERVICE_TLS_AUTH_TYPE", "bearer")
        .set("MCP_SERVICE_TLS_TOKEN", "s3cr3t-tls")
        .set("MCP_SERVICE_TLS_KEYED_AUTH_TYPE", "api-key")
        .set("MCP_SERVICE_TLS_KEYED_API_KEY", "s3cr3t-tls-key")
        .set("MCP_SERVICE_TLS_KEYED_API_KEY_IN", "query")
        .set(
            "MCP_SERVICE_DOWN_ENDPOINT",
            format!("http://{}", Upstream::nobody()),
        )
        .set("MCP_SERVICE_DOWN_AUTH_TYPE", "bearer")
        .set("MCP_SERVICE_DOWN_TOKEN", "s3cr3t-down");
    issue(&gateway.path(""), "tls", &["127.0.0.1"]);
    let endpoint = format!("https://{}", tls_backend(&gateway.path(""), "tls", true));
    gateway
        .set("MCP_SERVICE_TLS_ENDPOINT", &endpoint)
        .set("MCP_SERVICE_TLS_KEYED_ENDPOINT", &endpoint)
        .start()
        .await
}

#[tokio::test]
async fn logs_are_json_and_show_no_secret() {
    for format in ["json", "text"] {
        let (backend, issuer) = (backend().await, TokenIssuer::start(Some(3600)).await);
        let gateway = confidants(format, &backend, &issuer).await;
        let url = gateway.url("/mcp/request");
        let own = "X-API-Key: s3cr3t-inbound-key";
        let cookie = "Cookie: session=s3cr3t-session";
        for service in [
            "user-service",
            "keyed",
            "basic",
            "oauth",
            "tls",
            "tls-keyed",
            "down",
        ] {
            for fate in [
                Reply::json(r#"{"a":"s3cr3t-answer"}"#),
                Reply::close(),
                Reply::status(401),
            ] {
                backend.reply(fate);
                let body = format!(
                    r#"{{"service":"{service}","operation":"getUser","parameters":{{"p":"s3cr3t-argument"}}}}"#
                );
                for version in ["--http1.1", "--http2-prior-knowledge"] {
                    let head = [version, "--header", own, "--header", cookie];
                    let reply = curl(&[&head[..], &["--data", &body, &url]].concat()).await;
                    // 500 once the circuit of a service is open.
                    assert!([200, 500].contains(&reply.status), "{reply:?}");
                }
            }
        }
        let wrong = ["--header", "Authorization: Bearer s3cr3t-guess", &url];
        assert_eq!(curl(&wrong).await.status, 401);
        let broken = r#"{"service":"user-service","s3cr3t-member"#;
        let broken = ["--header", own, "--data", broken, &url];
        assert_eq!(curl(&broken).await.status, 500);

        assert!(issuer.hits() > 0, "a token was asked for");
        let sent = backend.requests();
        let keyed = sent.iter().filter_map(|request| request.uri.query());
        assert!(keyed.count() > 0, "a key was sent in a query");
        let finished = gateway.stop().await;
        for line in finished.stderr.lines() {
            // `ada:s3cr3t` in base64, and what the issuer issued.
            for secret in [SECRET, "YWRhOnMzY3IzdC", "access-", "refresh-"] {
                assert!(!line.contains(secret), "{line}");
            }
            if format == "json" {
                let json: Value = serde_json::from_str(line).unwrap();
                // Only the libraries below have events without a message.
                let ours = json["target"].as_str().unwrap().starts_with("bartizan");
                for member in ["timestamp", "level", "target", "message"] {
                    let optional = member == "message" && !ours;
                    assert!(optional || json[member].is_string(), "{line}");
                }
            }
        }
        for logged in [
            "TRACE",
            "DEBUG",
            "INFO",
            "retrying",
            "circuit breaker",
            "h2::",
        ] {
            assert!(finished.stderr.contains(logged), "{format}: no {logged}");
        }
    }
}

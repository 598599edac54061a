//! Whom it talks to over TLS.

use crate::{
    backend, before,
    common::{
        Bartizan,
        curl::{curl, try_curl},
    },
    issue, tls_backend,
};

#[tokio::test]
async fn callers_come_in_over_tls_in_both_versions() {
    let backend = backend().await;
    let gateway = before(&backend)
        .set("MCP_GATEWAY_TLS_CERT_FILE", "ours.pem")
        .set("MCP_GATEWAY_TLS_KEY_FILE", "ours.key");
    issue(&gateway.path(""), "ours", &["127.0.0.1"]);
    issue(&gateway.path(""), "other", &["127.0.0.1"]);
    let ours = gateway.path("ours.pem");
    let other = gateway.path("other.pem");
    let (ours, other) = (ours.to_str().unwrap(), other.to_str().unwrap());
    let gateway = gateway.start().await;
    let url = format!("https://{}/mcp/request", gateway.address());
    let body = r#"{"service":"user-service","operation":"getUser"}"#;

    for (argument, version) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")] {
        let reply = curl(&["--cacert", ours, argument, "--data", body, &url]).await;
        assert_eq!(reply.json()["success"], true, "{reply:?}");
        assert_eq!(reply.version, version);
    }
    assert_eq!(backend.hits(), 2);
    let mistrusted = try_curl(&["--cacert", other, &url]).await;
    assert!(mistrusted.unwrap_err().contains("(60)"));
    let plain = try_curl(&[&gateway.url("/livez")]).await;
    assert!(plain.is_err(), "{plain:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_told_of() {
    let backend = backend().await;
    let gateway = before(&backend)
        .set("MCP_GATEWAY_TLS_CERT_FILE", "ours.pem")
        .set("MCP_GATEWAY_TLS_KEY_FILE", "ours.key");
    issue(&gateway.path(""), "ours", &["127.0.0.1"]);
    let gateway = gateway.start().await;
    gateway.signal("HUP").await;
    gateway.logs("read again, nothing changed").await;
    issue(gateway.directory(), "ours", &["127.0.0.1"]);
    gateway.signal("HUP").await;
    gateway.logs("1 unchanged; another certificate").await;
}

#[tokio::test]
async fn services_are_reached_over_tls_by_the_authority_that_was_named() {
    for (http2, version) in [(true, "HTTP/2.0"), (false, "HTTP/1.1")] {
        let gateway = Bartizan::sound(&[], "").set("MCP_GATEWAY_UPSTREAM_CA_FILE", "trusted.pem");
        issue(&gateway.path(""), "trusted", &["127.0.0.1"]);
        let address = tls_backend(&gateway.path(""), "trusted", http2);
        let gateway = gateway
            .user("ENDPOINT", format!("https://{address}"))
            .start()
            .await;
        let json = gateway.call("getUser").await.json();
        assert_eq!(json["data"]["version"], version, "{json}");
        assert_eq!(json["data"]["caller"], "Bearer s3cr3t-token");
    }
}

#[tokio::test]
async fn services_that_cannot_prove_who_they_are_get_no_credential() {
    let gateway = || {
        let gateway = Bartizan::sound(&[], "").set("MCP_RETRY_MAX_ATTEMPTS", 0);
        issue(&gateway.path(""), "trusted", &["127.0.0.1"]);
        issue(&gateway.path(""), "unknown", &["127.0.0.1"]);
        issue(&gateway.path(""), "elsewhere", &["elsewhere.example"]);
        gateway
    };
    let cases = [
        // Of another authority than the one named; of none that the system knows; of one that
        // is trusted, but for another server.
        ("unknown", Some("trusted.pem")),
        ("unknown", None),
        ("elsewhere", Some("elsewhere.pem")),
    ];
    for (name, authority) in cases {
        let gateway = gateway();
        let address = tls_backend(&gateway.path(""), name, true);
        let gateway = gateway.user("ENDPOINT", format!("https://{address}"));
        let gateway = match authority {
            Some(file) => gateway.set("MCP_GATEWAY_UPSTREAM_CA_FILE", file),
            None => gateway,
        };
        let gateway = gateway.start().await;
        let reply = gateway.call("getUser").await;
        assert_eq!(reply.json()["success"], false, "{reply:?}");
        let message = reply.message();
        assert!(message.contains("certificate"), "{message}");
    }
}

//! The gateway as a process: how it starts and stops, whom it talks to over TLS, what it logs,
//! and what it answers to those who do everything wrong.
//!
//! Needs `curl` with HTTP/2, `kill` and `mkfifo`, and fails where one is missing.

mod common;

use std::{
    convert::Infallible,
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use bartizan_server::{Server, ServerConfig, Tls};
use bartizan_testkit::{Reply, TokenIssuer, Upstream};
use bytes::Bytes;
use common::{
    Bartizan, PATIENCE, Running,
    curl::{curl, try_curl},
    signal,
};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    task::spawn_blocking,
    time::timeout,
};

/// A backend without a definition that answers its queue, then `{}`.
async fn backend() -> Upstream {
    let backend = Upstream::start().await;
    backend.aside("/api/definition", Reply::status(404));
    backend
}

/// A gateway in front of `backend`, not started yet.
fn before(backend: &Upstream) -> Bartizan {
    Bartizan::sound(&[], &backend.url())
}

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
async fn alone_it_serves() {
    let backend = backend().await;
    for arguments in [&[][..], &["serve"]] {
        let gateway = Bartizan::sound(arguments, &backend.url()).start().await;
        assert!(gateway.bound().ip().is_loopback());
        for path in [
            "/livez",
            "/readyz",
            "/metrics",
            "/mcp/health",
            "/mcp/services",
        ] {
            assert_eq!(gateway.get(path).await.status, 200, "{path}");
        }
        assert_eq!(gateway.call("getUser").await.json()["success"], true);
        let finished = gateway.stop().await;
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(finished.stdout, "", "{finished:?}");
    }
}

#[tokio::test]
async fn secrets_come_from_files() {
    let (backend, issuer) = (backend().await, TokenIssuer::start(Some(3600)).await);
    let of = |kind: &str| {
        before(&backend)
            .unset("MCP_SERVICE_USER_SERVICE_TOKEN")
            .user("AUTH_TYPE", kind)
    };
    let last = |name: &str| {
        let requests = backend.requests();
        requests.last()?.header(name).map(str::to_owned)
    };

    let bearer = of("bearer")
        .file("secret", "b3arer\n")
        .user("TOKEN_FILE", "secret");
    bearer.start().await.call("getUser").await;
    assert_eq!(last("authorization").as_deref(), Some("Bearer b3arer"));

    let key = of("api-key")
        .file("secret", "k3y")
        .user("API_KEY_FILE", "secret");
    key.start().await.call("getUser").await;
    assert_eq!(last("x-api-key").as_deref(), Some("k3y"));

    let oauth2 = of("oauth2")
        .file("secret", "cl1ent\n")
        .user("CLIENT_SECRET_FILE", "secret")
        .user("CLIENT_ID", "gateway")
        .user("CLIENT_AUTH", "body")
        .user("TOKEN_URL", issuer.url());
    oauth2.start().await.call("getUser").await;
    assert_eq!(last("authorization").as_deref(), Some("Bearer access-1"));
    assert_eq!(issuer.records()[0].form["client_secret"], "cl1ent");
}

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

async fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().await;
    assert!(made.unwrap().success());
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

/// A fresh certificate for `names` and its key, as `NAME.pem` and `NAME.key` in `directory`.
fn issue(directory: &Path, name: &str, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    let key = issued.signing_key.serialize_pem();
    std::fs::write(
        directory.join(name).with_extension("pem"),
        issued.cert.pem(),
    )
    .unwrap();
    std::fs::write(directory.join(name).with_extension("key"), key).unwrap();
}

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

/// A backend that speaks TLS and answers which version of HTTP was spoken and who called.
fn tls_backend(directory: &Path, name: &str, http2: bool) -> SocketAddr {
    let file = directory.join(name);
    let tls = Tls::from_pem_files(file.with_extension("pem"), file.with_extension("key")).unwrap();
    let config = ServerConfig {
        http2,
        ..ServerConfig::default()
    };
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bound = Server::bind(&[anywhere], &config, Some(&tls)).unwrap();
    let address = bound.local_addr();
    let service = tower::service_fn(async |request: Request<Incoming>| {
        let caller = request.headers().get("authorization");
        let caller = caller.map_or("", |it| it.to_str().unwrap());
        let version = request.version();
        let body = format!(r#"{{"version":"{version:?}","caller":"{caller}"}}"#);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
    });
    tokio::spawn(bound.serve(service, std::future::pending()));
    address
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

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_are_served_on_as_many_threads_as_are_wanted() {
    let backend = backend().await;
    for workers in [1, 3] {
        let gateway = before(&backend).set("MCP_GATEWAY_WORKERS", workers);
        let gateway = gateway.start().await;
        let named = || {
            let threads = gateway.threads().into_iter();
            threads.filter(|name| name.starts_with("worker-")).count()
        };
        // A thread takes its name itself, when it comes to run.
        let all_named = async {
            while named() < workers {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, all_named).await.is_ok());
        assert_eq!(named(), workers, "{:?}", gateway.threads());
        let calls = (0..2 * workers).map(|_| gateway.call("get"));
        for reply in futures_util::future::join_all(calls).await {
            assert_eq!(reply.json()["success"], true, "{reply:?}");
        }
        assert!(gateway.stop().await.status.success());
    }
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

#[cfg(target_os = "linux")]
#[tokio::test]
async fn as_many_files_may_be_open_as_the_system_lets() {
    let backend = backend().await;
    let running = Bartizan::with_few_files(128, &["serve"]).with_service(&backend.url());
    let running = running.set("MCP_GATEWAY_MAX_CONNECTIONS", 4_000_000_000_u32);
    let running = running.start().await;
    let [now, most] = running.files();
    assert_eq!(now, most);
    assert!(running.log().contains("LimitNOFILE="), "{}", running.log());
}

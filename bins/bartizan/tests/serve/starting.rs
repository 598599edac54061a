//! How it starts, and with what.

use std::time::Duration;

use bartizan_testkit::TokenIssuer;
use tokio::time::timeout;

use crate::{
    backend, before,
    common::{Bartizan, PATIENCE},
};

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

//! `bartizan.yaml`: found, named, served, reloaded, refused.

mod common;

use bartizan_testkit::{Reply, Upstream};
use common::{Bartizan, Finished, Running};

async fn backend(name: &str) -> Upstream {
    let backend = Upstream::start().await;
    backend.aside("/api/definition", Reply::status(404));
    let body = format!(r#"{{"backend":"{name}"}}"#);
    backend.handle(move |_| Reply::json(body.clone()));
    backend
}

/// A plain service and one with instances.
fn file(plain: &str, listed: &str) -> String {
    format!(
        "gateway: {{port: 0}}
services:
  user-service: {{endpoint: '{plain}', auth: {{type: bearer, token: \"${{USER_TOKEN}}\"}}}}
  pool:
    auth: {{type: api-key, api_key: pool-key}}
    instances: [{{id: one, url: '{listed}', weight: 3}}]
"
    )
}

async fn ask(gateway: &Running, service: &str) -> String {
    let body = format!(r#"{{"service":"{service}","operation":"getUser"}}"#);
    let reply = gateway.post(&body, &[]).await.json();
    let backend = reply["data"]["backend"].as_str();
    backend.unwrap_or_else(|| panic!("{reply}")).to_owned()
}

fn complaint(finished: &Finished) -> &str {
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(finished.stdout, "");
    finished.stderr.trim_end()
}

#[tokio::test]
async fn a_file_beside_it_is_all_that_it_takes() {
    let (plain, listed) = (backend("plain").await, backend("listed").await);
    let text = file(&plain.url(), &listed.url());
    let gateway = Bartizan::new(&[])
        .set("USER_TOKEN", "s3cr3t-token")
        .file("bartizan.yaml", &text);
    let gateway = gateway.start().await;
    assert_eq!(ask(&gateway, "user-service").await, "plain");
    assert_eq!(ask(&gateway, "pool").await, "listed");
    let last = |backend: &Upstream, name: &str| {
        let requests = backend.requests();
        let call = requests
            .iter()
            .find(|it| it.uri.path() == "/api/getUser")
            .unwrap();
        call.header(name).map(str::to_owned)
    };
    let token = last(&plain, "authorization");
    assert_eq!(token.as_deref(), Some("Bearer s3cr3t-token"));
    assert_eq!(last(&listed, "x-api-key").as_deref(), Some("pool-key"));
}

#[tokio::test]
async fn instances_and_settings_change_together_or_not_at_all() {
    let (plain, one) = (backend("plain").await, backend("one").await);
    let two = backend("two").await;
    let before = file(&plain.url(), &one.url());
    let gateway = Bartizan::new(&["serve", "--config", "conf.yaml"])
        .set("USER_TOKEN", "s3cr3t-token")
        .file("conf.yaml", &before)
        .start()
        .await;
    let write = |text: &str| {
        let path = gateway.directory().join("conf.yaml");
        std::fs::write(path, text).unwrap();
    };
    assert_eq!(ask(&gateway, "pool").await, "one");

    let after = file(&plain.url(), &two.url());
    // A mistake in one place is one mistake: the instances stay as they were, too.
    write(&after.replace("{port: 0}", "{port: 0, prot: 1}"));
    gateway.signal("HUP").await;
    gateway
        .logs("conf.yaml, line 1, column 20) is no key that is known, did you mean port?")
        .await;
    assert_eq!(ask(&gateway, "pool").await, "one");

    write(&after);
    gateway.signal("HUP").await;
    gateway.logs("configuration changed").await;
    assert_eq!(ask(&gateway, "pool").await, "two");
    assert_eq!(ask(&gateway, "user-service").await, "plain");
}

#[tokio::test]
async fn check_and_explain_say_where_it_stands() {
    let text = file("http://a:1", "http://b:1");
    let run = |arguments: &'static [&'static str]| {
        Bartizan::new(arguments)
            .set("USER_TOKEN", "s3cr3t-token")
            .set("MCP_SERVICE_POOL_TIMEOUT", 1500)
            .file("bartizan.yaml", &text)
            .run()
    };
    let check = run(&["check"]).await;
    assert!(check.status.success(), "{check:?}");
    assert!(
        check
            .stdout
            .contains("user-service: http://a:1, auth bearer"),
        "{check:?}"
    );
    let registry = "registry: bartizan.yaml (bartizan.yaml), services: 1, instances: 1";
    assert!(check.stdout.contains(registry), "{check:?}");
    let explained = run(&["explain", "user-service"]).await.stdout;
    let token = "services.user-service.auth.token (bartizan.yaml, line 3, column 63)";
    assert!(explained.contains(token), "{explained}");
    let explained = run(&["explain", "pool"]).await.stdout;
    assert!(explained.contains("1500 ms"), "{explained}");
    assert!(
        explained.contains("MCP_SERVICE_POOL_TIMEOUT"),
        "{explained}"
    );
    let gateway = run(&["explain"]).await.stdout;
    assert!(
        gateway.contains("gateway.port (bartizan.yaml, line 1, column 11)"),
        "{gateway}"
    );
}

#[tokio::test]
async fn a_file_that_is_wrong_keeps_it_from_starting() {
    let text = file("http://a:1", "http://u:s3cr3t@b").replace("token:", "tokne:");
    for arguments in [&["check"][..], &["serve"], &["explain"], &["stdio"]] {
        let finished = Bartizan::new(arguments)
            .set("USER_TOKEN", "s3cr3t-token")
            .file("bartizan.yaml", &text)
            .run()
            .await;
        assert_eq!(
            complaint(&finished),
            "Configuration errors:\n  \
             - services.user-service.auth.tokne (bartizan.yaml, line 3, column 63) is no key that \
             is known, did you mean token?\n  \
             - bartizan.yaml, line 6, column 32: `url`: the URI must not contain a user name or \
             password"
        );
    }
    for arguments in [
        &["--config", "missing.yaml"][..],
        &["check", "--config=missing.yaml"],
    ] {
        let finished = Bartizan::new(arguments)
            .file("bartizan.yaml", "{}")
            .run()
            .await;
        let complaint = complaint(&finished);
        let expected = "Configuration errors:\n  - missing.yaml cannot be read (";
        assert!(complaint.starts_with(expected), "{complaint}");
    }
}

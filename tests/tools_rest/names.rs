//! Which tool a path names.

use bartizan_testkit::Upstream;
use bartizan_tests::Variables;
use http::{Method, StatusCode};
use serde_json::json;

use crate::{Place, gateway, manifest};

#[tokio::test]
async fn a_name_is_split_at_its_first_dot() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    let answer = gateway.post_to("/tools/manifest.get.dotted", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(backend.requests()[0].uri.path(), "/tools/get.dotted");
}

#[tokio::test]
async fn a_listed_name_may_be_any() {
    let backend = manifest().await;
    let port = backend.address().port();
    let tools = "[{name: with space}, {name: 'get:item'}, {name: 'a?b'}]";
    let registry =
        format!("servers:\n- {{namespace: a, name: 127.0.0.1, port: {port}, tools: {tools}}}\n");
    let gateway = Place::new(&registry).start().await;
    for (name, path) in [
        ("with space", "/tools/with%20space"),
        ("get:item", "/tools/get:item"),
        ("a?b", "/tools/a%3Fb"),
    ] {
        let segment = name.replace(' ', "%20").replace('?', "%3F");
        let answer = gateway.post_to(&format!("/tools/a.{segment}"), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let body = json!({"name": name}).to_string();
        let answer = gateway.post_to("/mcp/a/tools/call", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let requests = backend.requests();
        let calls = requests.iter().filter(|it| it.uri.path() == path);
        assert_eq!(calls.count(), 2, "{name}");
    }
    let unlisted = gateway.post_to("/tools/a.an%20other", "").await;
    assert_eq!(unlisted.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tool_whose_name_is_that_of_another_is_not_listed() {
    let [shorter, longer] = [manifest().await, manifest().await];
    let server = |namespace: &str, at: &Upstream, tools: &str| {
        let port = at.address().port();
        format!("- {{namespace: {namespace}, name: 127.0.0.1, port: {port}, tools: [{tools}]}}\n")
    };
    let registry = format!(
        "servers:\n{}{}",
        server("a", &shorter, "{name: b.c}, {name: b}, {name: b.d}"),
        server("a.b", &longer, "{name: c}")
    );
    let gateway = Place::new(&registry).start().await;
    let list = gateway.get("/tools").await.json();
    let tools = list["tools"].as_array().unwrap().iter();
    let listed: Vec<_> = tools.map(|it| (&it["name"], &it["namespace"])).collect();
    assert_eq!(
        listed,
        [
            (&json!("a.b"), &json!("a")),
            (&json!("a.b.c"), &json!("a.b"))
        ]
    );
    gateway.post_to("/tools/a.b.c", "").await;
    let calls = |at: &Upstream| {
        at.requests()
            .iter()
            .filter(|it| it.method == Method::POST)
            .count()
    };
    assert_eq!((calls(&shorter), calls(&longer)), (0, 1));
}

#[tokio::test]
async fn a_name_with_a_dot_is_no_part_of_a_shorter_one() {
    const OPERATOR: &str = "operators-key-0123456789abcdef";
    let [ours, theirs] = [manifest().await, manifest().await];
    let gateway = Variables::default()
        .set("MCP_SERVICES", "acme.billing")
        .set("MCP_SERVICE_ACME_BILLING_ENDPOINT", ours.url())
        .set("MCP_SERVICE_ACME_BILLING_AUTH_TYPE", "none")
        .set("MCP_GATEWAY_ADMIN_KEYS", OPERATOR)
        .start()
        .await;
    let register = async |name: &str, key: &str| {
        let instance = json!({ "id": "one", "endpoint": theirs.url() });
        let body = json!({ "template_name": name, "instance": instance, "ttl": 60 });
        let key = format!("Bearer {key}");
        let headers = [
            ("authorization", &*key),
            ("content-type", "application/json"),
        ];
        let body = body.to_string();
        let request = gateway.request(Method::POST, "/gateway/register", &headers, body);
        gateway.send(request).await
    };
    for name in ["acme", "acme.billing.eu"] {
        let refused = register(name, "another").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}");
        assert!(
            refused.json()["detail"]
                .to_string()
                .contains("`acme.billing`")
        );
    }
    // Where an operator wants both, the longer name is meant.
    let answer = register("acme", OPERATOR).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let answer = gateway
        .post_to("/tools/acme.billing.list_servers", "")
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert!(ours.hits() > 0);
    assert!(theirs.requests().iter().all(|it| it.method != Method::POST));
}

#[tokio::test]
async fn what_is_not_listed_is_not_found() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for name in [
        "manifest",
        "manifest.",
        ".list_servers",
        "nothing.list_servers",
        "manifest.delete_server",
        "manifest...",
        "manifest.list_servers.x",
    ] {
        let answer = gateway.post_to(&format!("/tools/{name}"), "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
        assert_eq!(
            answer.json(),
            json!({"detail": format!("Tool not found: {name}")})
        );
    }
    for path in ["/tools/manifest.list_servers/x", "/gateway/nothing"] {
        let answer = gateway.post_to(path, "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json(), json!({"detail": "Not Found"}));
    }
    let escaping = gateway
        .post_to("/tools/manifest.%2E%2E%2Fadmin", "{}")
        .await;
    assert_eq!(escaping.status, StatusCode::NOT_FOUND);
    assert_eq!(backend.hits(), 0);
}

/// Whatever clients make of a path, the answer is one of this door.
#[tokio::test]
async fn a_slash_at_the_end_means_nothing_and_a_path_that_is_no_text_is_refused() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for path in ["/tools/", "/health/", "/gateway/health/", "/mcp/services//"] {
        assert_eq!(gateway.get(path).await.status, StatusCode::OK, "{path}");
    }
    let answer = gateway.post_to("/tools/manifest.list_servers/", "{}").await;
    assert_eq!(answer.status, StatusCode::OK);
    for path in ["/tools/%ff.x", "/gateway/heartbeat/a/%ff", "/mcp/%ff"] {
        let answer = gateway.post_to(path, "{}").await;
        assert!(answer.status.is_client_error() || answer.status.is_server_error());
        let said = answer.json().to_string();
        assert!(said.contains("not UTF-8"), "{path}: {said}");
    }
}

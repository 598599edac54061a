//! Calls, and the list of what can be called.

use bartizan_testkit::{Reply, Upstream};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{CALL, Place, documented, gateway, manifest};

#[tokio::test]
async fn the_documented_call_reaches_the_backend_and_its_answer_the_caller() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    let body = "{\n  \"filter\": \"namespace:n8n\", \"n\": 1.10\n}";
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "of-the-caller"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("authorization", "Bearer of-the-caller"),
        ("cookie", "session=of-the-caller"),
    ];
    let request = gateway.request(Method::POST, CALL, &headers, body);
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-request-id"), Some("of-the-caller"));
    let expected = r#"{"servers": [{"namespace": "n8n", "port": 8082, "n": 1.10}]}"#;
    assert_eq!(answer.body, expected);

    let requests = backend.requests();
    let request = &requests[0];
    assert_eq!(
        (&request.method, request.uri.path()),
        (&Method::POST, "/tools/list_servers")
    );
    assert_eq!(request.body, body);
    assert_eq!(request.header("x-request-id"), Some("of-the-caller"));
    let trace = request.header("traceparent").unwrap();
    assert!(
        trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
        "{trace}"
    );
    for absent in ["authorization", "cookie"] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn a_call_without_arguments_has_none() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    for body in ["", "  ", "null", "{}"] {
        let answer = gateway.post_to(CALL, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{body:?}");
    }
    let requests = backend.requests();
    let calls = requests.iter().filter(|it| it.method == Method::POST);
    assert!(calls.clone().all(|request| request.body == "{}"));
    assert_eq!(calls.count(), 4);
}

/// Servers of one namespace need not have the same tools.
#[tokio::test]
async fn a_tool_is_called_at_a_server_that_lists_it() {
    let (one, two) = (manifest().await, manifest().await);
    let server = |backend: &Upstream, tools: &str| {
        let port = backend.address().port();
        format!("- namespace: m\n  name: 127.0.0.1\n  port: {port}\n  tools: [{tools}]\n")
    };
    let registry = [
        "servers:\n".to_owned(),
        server(&one, "{name: both}, {name: first}"),
        server(&two, "{name: both}, {name: second}"),
    ];
    let gateway = Place::new(&registry.concat()).start().await;
    for tool in ["first", "second", "both"] {
        for _ in 0..6 {
            let answer = gateway.post_to(&format!("/tools/m.{tool}"), "{}").await;
            assert_eq!(answer.status, StatusCode::OK);
        }
    }
    let calls = |backend: &Upstream, tool: &str| {
        let path = format!("/tools/{tool}");
        let requests = backend.requests();
        requests.iter().filter(|it| it.uri.path() == path).count()
    };
    assert_eq!((calls(&one, "first"), calls(&two, "first")), (6, 0));
    assert_eq!((calls(&one, "second"), calls(&two, "second")), (0, 6));
    assert_eq!((calls(&one, "both"), calls(&two, "both")), (3, 3));

    // Nor is a call repeated where nobody knows it.
    one.handle(|_| Reply::status(503).header("retry-after", "0"));
    gateway.post_to("/tools/m.first", "{}").await;
    assert!(calls(&one, "first") > 7, "{}", calls(&one, "first"));
    assert_eq!(calls(&two, "first"), 0);
}

/// Whoever takes the last tool off a list does not mean all of them.
#[tokio::test]
async fn of_an_empty_list_nothing_can_be_called() {
    let backend = manifest().await;
    let port = backend.address().port();
    for (tools, status) in [
        ("", StatusCode::OK),
        ("tools: []", StatusCode::NOT_FOUND),
        ("tools: [no_mapping]", StatusCode::NOT_FOUND),
        ("tools: [{name: other}]", StatusCode::NOT_FOUND),
    ] {
        let registry = format!(
            "servers:\n- namespace: manifest\n  name: 127.0.0.1\n  port: {port}\n  {tools}\n"
        );
        let gateway = Place::new(&registry).start().await;
        let answer = gateway.post_to("/tools/manifest.delete_all", "{}").await;
        assert_eq!(answer.status, status, "{tools}");
    }
    assert_eq!(backend.hits(), 1);
}

#[tokio::test]
async fn the_documented_list_has_what_is_known_besides() {
    let backend = manifest().await;
    let (_place, gateway) = gateway(&backend).await;
    let is_healthy = |list: &Value| list["tools"][0]["health_status"] == "healthy";
    let list = gateway.until("/tools", is_healthy).await;
    assert_eq!(
        list["tools"][0],
        json!({
            "name": "manifest.list_servers",
            "namespace": "manifest",
            "tool_name": "list_servers",
            "backend_url": backend.url(),
            "health_status": "healthy",
            "description": "List all registered MCP servers",
            "input_schema": {"type": "object", "properties": {"filter": {"type": "string"}}},
        })
    );
    let names: Vec<_> = list["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(
        names,
        [
            "manifest.list_servers",
            "manifest.get_server",
            "manifest.get.dotted"
        ]
    );
}

#[tokio::test]
async fn fault_12_cors_is_configured() {
    let backend = manifest().await;
    let place = Place::new(&documented(backend.address().port(), ""));
    let ours = [("origin", "https://app.example.com")];
    let other = [("origin", "https://evil.example")];
    let gateway = place
        .variables()
        .set("MCP_GATEWAY_CORS_ORIGINS", ours[0].1)
        .start()
        .await;
    let ask = async |headers: &[(&str, &str)]| {
        let request = gateway.request(Method::GET, "/tools", headers, "");
        gateway.send(request).await
    };
    let header = "access-control-allow-origin";
    assert_eq!(ask(&ours).await.header(header), Some(ours[0].1));
    assert_eq!(ask(&other).await.header(header), None);
    let any = place.start().await;
    let request = any.request(Method::OPTIONS, CALL, &other, "");
    let preflight = any.send(request).await;
    assert_eq!(preflight.status, StatusCode::OK);
    assert_eq!(preflight.header(header), Some("*"));
    // The original let any page spend a visitor's cookies.
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
}

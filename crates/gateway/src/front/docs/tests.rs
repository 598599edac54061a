use std::collections::{BTreeMap, BTreeSet};

use axum::{Router, body::Body, extract::Request};
use bartizan_config::{Auth, Configuration, ServiceConfig};
use http::{StatusCode, header::ALLOW};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::{Gateway, shared::Asks};

/// What is not in the document: MCP itself, and the pages about it.
const UNDESCRIBED: [&str; 12] = [
    "/messages",
    "/mcp",
    "/mcp/messages",
    "/mcp/sse",
    "/mcp/{service}",
    "/mcp/{service}/messages",
    "/mcp/{service}/sse",
    "/sse",
    "/docs",
    "/docs/{file}",
    "/openapi.json",
    "/redoc",
];

fn gateway() -> Gateway {
    let service = ServiceConfig::new("http://127.0.0.1:9").auth(Auth::none());
    let configuration = Configuration::production([("users", service)]).unwrap();
    Gateway::new(&configuration).unwrap()
}

/// The paths that a router knows: it lists them for debugging only.
fn paths(router: &Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    text.split('"')
        .skip(1)
        .step_by(2)
        .filter(|quoted| quoted.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

/// The methods of a path: those that the router names when it gets another. `None` where the
/// router's fallback answers.
async fn methods(router: &Router, path: &str) -> Option<BTreeSet<String>> {
    let uri = path.replace(['{', '}'], "");
    let request = Request::builder().method("BREW").uri(uri);
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    if response.status() == StatusCode::NOT_FOUND {
        return None;
    }
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    let allowed = response.headers()[ALLOW].to_str().unwrap();
    // Where there is GET, the router adds HEAD.
    let methods = allowed.split(',').filter(|method| *method != "HEAD");
    Some(methods.map(str::to_lowercase).collect())
}

#[tokio::test]
async fn the_document_has_the_routes_that_there_are() {
    let router = gateway().router();
    let paths = paths(&router);
    for path in UNDESCRIBED {
        assert!(paths.contains(path), "{path} is no route: {paths:?}");
    }
    let mut served = BTreeMap::new();
    for path in paths {
        if UNDESCRIBED.contains(&&*path) {
            continue;
        }
        if let Some(methods) = methods(&router, &path).await {
            served.insert(path, methods);
        }
    }
    assert!(served.len() >= 8, "{served:?}");

    let document = serde_json::to_value(document::document(Asks::Nobody)).unwrap();
    let described = document["paths"].as_object().unwrap().iter();
    let described: BTreeMap<_, BTreeSet<_>> = described
        .map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            (path.clone(), methods.cloned().collect())
        })
        .collect();
    assert_eq!(described, served);
}

/// Every operation, with its path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
        .collect()
}

#[test]
fn every_operation_can_be_found_and_understood() {
    let document = serde_json::to_value(document::document(Asks::Everybody)).unwrap();
    let tags = document["tags"].as_array().unwrap();
    let tags: BTreeSet<_> = tags
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let (mut ids, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (name, operation) in operations(&document) {
        let tag = operation["tags"][0].as_str().unwrap();
        assert!(tags.contains(tag), "{name} has no tag of ours");
        used.insert(tag);
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is the id of several operations");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{name}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let text = response["description"].as_str().unwrap();
            assert!(text.ends_with('.'), "{name} {status}: {text}");
        }
    }
    assert_eq!(used, tags);
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|item| references(item, found));
            }
            _ => {}
        }
    }

    let document = serde_json::to_value(document::document(Asks::Everybody)).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let reference = format!("#/components/schemas/{name}");
        assert!(found.contains(&*reference), "nothing uses {name}");
    }
}

#[test]
fn keys_are_asked_for_where_the_gateway_asks_for_them() {
    let open = serde_json::to_value(document::document(Asks::Nobody)).unwrap();
    assert_eq!(open.get("security"), None);
    let some = serde_json::to_value(document::document(Asks::Operators)).unwrap();
    assert_eq!(some["security"][0], serde_json::json!({}));
    assert_eq!(some["security"].as_array().unwrap().len(), 3);
    let keyed = serde_json::to_value(document::document(Asks::Everybody)).unwrap();
    assert_eq!(keyed["security"].as_array().unwrap().len(), 2);
    for (name, operation) in operations(&keyed) {
        let anybody = matches!(&*name, "get /livez" | "get /readyz" | "get /health");
        assert_eq!(operation.get("security").is_some(), anybody, "{name}");
        let refused = operation["responses"].get("401").is_some();
        assert_eq!(refused, !anybody, "{name}");
    }
}

#[test]
fn only_the_pages_are_open() {
    for path in ["/docs", "/redoc", "/openapi.json"] {
        assert!(is_open(path), "{path}");
    }
    for path in [
        "/docs/",
        "/docs/sse",
        "/docs/swagger-ui.js",
        "/mcp",
        "/",
        "",
    ] {
        assert!(!is_open(path), "{path}");
    }
}

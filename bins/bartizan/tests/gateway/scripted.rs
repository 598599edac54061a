//! What is sent to a gateway, and what is made of its answers: a server that says what it is told
//! to stands for one.

use std::{
    fs,
    io::{Seek, Write},
    sync::atomic::{AtomicUsize, Ordering},
};

use bartizan_testkit::{Recorded, Reply, Upstream};
use serde_json::{Value, json};

use crate::{Home, REGISTRY, failed, said};

const STATS: &str = r#"{"gateway": {"uptime_seconds": 3725.5, "total_requests": 12}}"#;

async fn gateway(answer: impl Fn(&Recorded) -> Option<Reply> + Send + Sync + 'static) -> Upstream {
    Upstream::start_with(move |request: &Recorded| {
        if let Some(reply) = answer(request) {
            return reply;
        }
        match request.uri.path() {
            "/gateway/stats" => Reply::json(STATS),
            "/gateway/registry" => Reply::json(REGISTRY),
            _ => Reply::json(r#"{"detail": "Instance not found"}"#).with_status(404),
        }
    })
    .await
}

#[tokio::test]
async fn status_is_what_the_gateway_says() {
    let home = Home::new();
    let gateway = gateway(|_| None).await;
    let url = gateway.url();
    let said = home.says(&["status", "--url", &url]).await;
    let expected = format!(
        "from the gateway at {url}

TEMPLATES  INSTANCES  HEALTHY  UNKNOWN  UPTIME     REQUESTS
        2          3        1        1  1 h 2 min        12
"
    );
    assert!(said.starts_with(&expected), "{said}");
    assert!(
        said.contains("clock-server") && !said.contains("hunter"),
        "{said}"
    );
    let status = home.json_of(&["status", "--url", &format!("{url}/")]).await;
    assert_eq!(status["by"], "gateway");
    let port = gateway.address().port();
    let there = home.command(&["status", "--json"]);
    let said = crate::said(there.set("MCP_GATEWAY_PORT", port).run().await);
    let there: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&there["by"], &there["registry"]),
        (&json!("gateway"), &Value::Null)
    );
    assert_eq!(status["url"], url);
    assert_eq!(status["gateway"]["total_requests"], 12);
}

#[tokio::test]
async fn an_instance_is_registered_as_a_registry_has_it() {
    let home = Home::new();
    let gateway = gateway(|request| {
        (request.uri.path() == "/gateway/register")
            .then(|| Reply::json(r#"{"message": "Registered", "replaced": true}"#))
    })
    .await;
    let url = gateway.url();
    let said = home
        .says(&[
            "register", "t", "-e", "http://a", "--id", "x", "--ttl", "60", "--url", &url,
        ])
        .await;
    assert!(
        said.starts_with("replaced instance x of template t with the gateway at"),
        "{said}"
    );
    let sent = gateway.requests();
    let sent = sent.last().unwrap();
    assert_eq!(
        sent.json(),
        json!({
            "template_name": "t", "ttl": 60,
            "instance": {
                "id": "x", "template_name": "t", "endpoint": "http://a", "transport": "http",
            },
        })
    );
    assert!(!home.registry().exists());
}

#[tokio::test]
async fn an_instance_without_a_name_is_named_by_the_gateway() {
    let home = Home::new();
    let gateway = gateway(|request| {
        (request.uri.path() == "/gateway/register")
            .then(|| Reply::json(r#"{"instance_id": "t-7", "replaced": false}"#))
    })
    .await;
    let url = gateway.url();
    let registered = home
        .json_of(&["register", "t", "-e", "http://a", "--url", &url])
        .await;
    assert_eq!(registered["id"], "t-7");
    let sent = gateway.requests().last().unwrap().json();
    assert_eq!(sent["instance"].get("id"), None, "{sent}");
}

#[tokio::test]
async fn a_key_is_shown_and_an_operators_key_where_one_is_needed() {
    let home = Home::new();
    let gateway =
        gateway(|request| (request.uri.path() == "/gateway/register").then(|| Reply::json("{}")))
            .await;
    let url = gateway.url();
    let run = async |arguments: &[&str]| {
        let arguments = [arguments, &["--url", &url]].concat();
        let command = home.command(&arguments);
        let command = command
            .set(
                "MCP_GATEWAY_API_KEYS",
                "first-caller-key-0,second-caller-key",
            )
            .set("MCP_GATEWAY_ADMIN_KEYS", "operators-key-0001");
        said(command.run().await);
        let sent = gateway.requests();
        sent.last().unwrap().header("x-api-key").unwrap().to_owned()
    };
    assert_eq!(run(&["status"]).await, "first-caller-key-0");
    let register = ["register", "t", "--id", "x"];
    let endpoint = [&register[..], &["-e", "http://a"]].concat();
    assert_eq!(run(&endpoint).await, "operators-key-0001");
    let command = [&register[..], &["-c", "a"]].concat();
    assert_eq!(run(&command).await, "operators-key-0001");
    let file = home.path().join("key");
    fs::write(&file, "key-of-a-file-0001\n").unwrap();
    let file = ["--api-key-file", file.to_str().unwrap()];
    assert_eq!(
        run(&[&command[..], &file].concat()).await,
        "key-of-a-file-0001"
    );
}

#[tokio::test]
async fn names_are_escaped_in_paths() {
    let home = Home::new();
    let gateway = gateway(|request| {
        (request.method == "DELETE").then(|| Reply::json(r#"{"message": "Deregistered"}"#))
    })
    .await;
    let url = gateway.url();
    home.says(&["deregister", "a b", "x/../y?z", "--url", &url])
        .await;
    let sent = gateway.requests();
    let path = sent.last().unwrap().uri.to_string();
    assert_eq!(path, "/gateway/deregister/a%20b/x%2F..%2Fy%3Fz");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let home = Home::new();
    let gateway = gateway(|_| None).await;
    let complaint = home
        .fails(3, &["deregister", "t", "x", "--url", &gateway.url()])
        .await;
    assert!(
        complaint.contains("template `t` has no instance `x`"),
        "{complaint}"
    );
}

#[tokio::test]
async fn sync_shows_what_changed_and_fails_if_a_source_did() {
    let home = Home::new();
    let answer = |detail: Value| {
        json!({
            "before": {"templates": 2, "instances": 3, "healthy_instances": 2},
            "after": {"templates": 3, "instances": 13, "healthy_instances": 12},
            "added": ["t/x"], "removed": ["filesystem/fs-2"], "detail": detail,
        })
    };
    let good = answer(Value::Null).to_string();
    let gateway_ = gateway(move |request| {
        (request.uri.path() == "/gateway/sync").then(|| Reply::json(good.clone()))
    })
    .await;
    let said = home.says(&["sync", "--url", &gateway_.url()]).await;
    assert!(said.contains("instances       3     13     +10"), "{said}");
    // As `status` counts them, which a gateway does not that has calls for unknown ones.
    assert!(said.contains("healthy         1      1       0"), "{said}");
    assert!(said.contains("\n+ t/x\n- filesystem/fs-2\n"), "{said}");

    let bad = answer("Sync failed: registry.yaml: line 3, column 1".into()).to_string();
    let gateway_ = gateway(move |request| {
        let reply = || Reply::json(bad.clone()).with_status(500);
        (request.uri.path() == "/gateway/sync").then(reply)
    })
    .await;
    let finished = home
        .run(&["sync", "--json", "--url", &gateway_.url()])
        .await;
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("line 3, column 1"), "{finished:?}");
    let synced: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(synced["after"]["instances"], 13);
}

/// A registry of three instances, of which these have failed their checks.
fn failing(ids: &[&str]) -> String {
    let instances = ["a", "b", "c"].map(|id| {
        let failures = if ids.contains(&id) { 9 } else { 0 };
        json!({"id": id, "endpoint": "http://127.0.0.1:1", "consecutive_failures": failures})
    });
    json!({"templates": {"t": {"instances": instances}}}).to_string()
}

#[tokio::test]
async fn cleanup_goes_on_after_a_refusal_and_says_what_it_did() {
    let home = Home::new();
    let gateway = gateway(
        |request| match (request.method.as_str(), request.uri.path()) {
            (_, "/gateway/registry") => Some(Reply::json(failing(&["a", "b", "c"]))),
            ("DELETE", "/gateway/deregister/t/a") => {
                Some(Reply::json(r#"{"detail": "listed in registry.yaml"}"#).with_status(409))
            }
            ("DELETE", "/gateway/deregister/t/b") => {
                Some(Reply::json(r#"{"detail": "an operator's"}"#).with_status(403))
            }
            ("DELETE", _) => Some(Reply::json("{}")),
            _ => None,
        },
    )
    .await;
    let cleanup = ["cleanup", "--yes", "--url", &gateway.url()];
    let finished = home.run(&cleanup).await;
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    for said in ["removed instance c of template t", "1 instance removed by"] {
        assert!(finished.stdout.contains(said), "{finished:?}");
    }
    for said in [
        "instance a of template t: ",
        "listed in registry.yaml",
        "instance b of template t: ",
        "an operator's",
    ] {
        assert!(finished.stderr.contains(said), "{finished:?}");
    }
    let finished = home.run(&[&cleanup[..], &["--json"]].concat()).await;
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let json: Value = serde_json::from_str(&finished.stdout).unwrap();
    let ids = |name: &str| {
        json[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].clone())
    };
    assert_eq!(ids("removed").collect::<Vec<_>>(), ["c"]);
    assert_eq!(ids("refused").collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn what_has_recovered_before_the_answer_is_left() {
    let home = Home::new();
    let looks = AtomicUsize::new(0);
    let gateway = gateway(move |request| match request.method.as_str() {
        "DELETE" => Some(Reply::json("{}")),
        _ if request.uri.path() == "/gateway/registry" => {
            let ids: &[_] = match looks.fetch_add(1, Ordering::SeqCst) {
                0 => &["a", "b"],
                _ => &["b", "c"],
            };
            Some(Reply::json(failing(ids)))
        }
        _ => None,
    })
    .await;
    let mut answer = tempfile::tempfile().unwrap();
    answer.write_all(b"y\n").unwrap();
    answer.rewind().unwrap();
    let cleanup = home.command(&["cleanup", "--url", &gateway.url()]);
    let finished = cleanup.stdin(answer).run().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(
        finished.stderr.contains("Remove 2 instances"),
        "{finished:?}"
    );
    let gone = gateway.requests().into_iter();
    let gone = gone.filter(|it| it.method == "DELETE");
    let gone: Vec<_> = gone.map(|it| it.uri.to_string()).collect();
    assert_eq!(gone, ["/gateway/deregister/t/b"]);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let home = Home::new();
    let answers = [
        (401, "", "wants a key: set MCP_GATEWAY_API_KEYS"),
        (403, r#"{"detail": "no"}"#, "MCP_GATEWAY_ADMIN_KEYS"),
        (
            400,
            r#"{"detail": "Registration failed: bad"}"#,
            "Registration failed: bad",
        ),
        (
            422,
            r#"{"detail": [{"msg": "field required"}]}"#,
            "field required",
        ),
        (500, "oops", "it answers 500"),
    ];
    for (status, body, expected) in answers {
        let gateway = gateway(move |request| {
            (request.uri.path() == "/gateway/register")
                .then(|| Reply::json(body).with_status(status))
        })
        .await;
        let url = gateway.url();
        let register = [
            "register", "t", "-e", "http://a", "--id", "x", "--url", &url,
        ];
        let complaint = home.fails(1, &register).await;
        assert!(complaint.contains(expected), "{complaint}");
    }
}

#[tokio::test]
async fn a_gateway_that_was_named_has_to_be_there() {
    let home = Home::with(REGISTRY);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let complaint = home.fails(4, &["status", "--url", &url]).await;
    assert!(
        complaint.contains("cannot reach the gateway at"),
        "{complaint}"
    );
    assert!(complaint.contains("is it running"), "{complaint}");
    let stranger = Upstream::start_with(|_: &Recorded| Reply::status(404)).await;
    let complaint = home.fails(1, &["status", "--url", &stranger.url()]).await;
    assert!(
        complaint.contains("is no gateway that can be managed"),
        "{complaint}"
    );
}

#[tokio::test]
async fn what_is_not_a_gateway_is_not_taken_for_one() {
    let home = Home::with(REGISTRY);
    let stranger = Upstream::start_with(|_: &Recorded| Reply::status(404)).await;
    let port = stranger.address().port();
    let status = home.command(&["status"]).set("MCP_GATEWAY_PORT", port);
    let said = said(status.run().await);
    assert!(said.starts_with("from the file"), "{said}");
    assert!(said.contains("is no gateway"), "{said}");
    let closing = Upstream::start_with(|_: &Recorded| Reply::close()).await;
    let port = closing.address().port();
    let status = home.command(&["status"]).set("MCP_GATEWAY_PORT", port);
    let complaint = failed(1, status.run().await);
    assert!(complaint.contains("did not answer"), "{complaint}");
}

#[tokio::test]
async fn the_file_can_be_used_beside_a_gateway() {
    let home = Home::with(REGISTRY);
    let gateway = gateway(|_| None).await;
    let port = gateway.address().port();
    let by = async |arguments: &[&str]| {
        let arguments = [&["status", "--json"], arguments].concat();
        let command = home.command(&arguments).set("MCP_GATEWAY_PORT", port);
        let status: Value = serde_json::from_str(&said(command.run().await)).unwrap();
        status["by"].as_str().unwrap().to_owned()
    };
    assert_eq!(by(&[]).await, "gateway");
    assert_eq!(by(&["--offline"]).await, "file");
}

//! Each command with a gateway that runs.

use bartizan_testkit::{Recorded, Reply, Upstream};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    Home,
    common::{Bartizan, PATIENCE, Running},
    failed, said,
};

const OPERATOR: &str = "operators-key-0001";
const CALLER: &str = "callers-key-000001";

/// A gateway that asks for keys, with the registry of `home`, and commands that know where it is.
struct Stage {
    home: Home,
    gateway: Running,
}

impl Stage {
    async fn new(registry: &str) -> Self {
        let home = Home::with(registry);
        let gateway = Bartizan::new(&[])
            .set("MCP_GATEWAY_PORT", 0)
            .set("MCP_GATEWAY_REGISTRY_FILE", home.registry().display())
            .set("MCP_GATEWAY_API_KEYS", CALLER)
            .set("MCP_GATEWAY_ADMIN_KEYS", OPERATOR)
            .set("MCP_GATEWAY_ALLOWED_COMMANDS", "cat")
            .start()
            .await;
        Self { home, gateway }
    }

    fn command(&self, arguments: &[&str]) -> Bartizan {
        let command = self.home.command(arguments);
        let command = command.set("MCP_GATEWAY_PORT", self.gateway.address().port());
        command
            .set("MCP_GATEWAY_API_KEYS", CALLER)
            .set("MCP_GATEWAY_ADMIN_KEYS", OPERATOR)
    }

    async fn says(&self, arguments: &[&str]) -> String {
        said(self.command(arguments).run().await)
    }

    async fn json_of(&self, arguments: &[&str]) -> Value {
        let said = self.says(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&said).unwrap()
    }
}

/// An instance that answers nobody well.
async fn sick() -> Upstream {
    Upstream::start_with(|_: &Recorded| Reply::status(503)).await
}

#[tokio::test]
async fn instances_come_and_go() {
    let stage = Stage::new(r#"{"templates": {}}"#).await;
    let instance = sick().await;
    let endpoint = instance.url();
    let register = [
        "register", "t", "-e", &endpoint, "--id", "one", "--weight", "3",
    ];
    let registered = stage.json_of(&register).await;
    assert_eq!(registered["by"], "gateway");
    assert_eq!(registered["replaced"], false);
    let said = stage.says(&register).await;
    assert!(
        said.starts_with("replaced instance one of template t with the gateway"),
        "{said}"
    );
    // The gateway has written it down.
    let written = &stage.home.json()["templates"]["t"]["instances"][0];
    assert_eq!(written["endpoint"], endpoint);
    assert_eq!(written["metadata"]["weight"], 3);

    let status = stage.json_of(&["status"]).await;
    assert_eq!(status["by"], "gateway");
    assert_eq!(status["totals"]["instances"], 1);
    assert_eq!(status["templates"][0]["strategy"], "round_robin");
    assert_eq!(status["instances"][0]["weight"], 3);
    assert_eq!(status["instances"][0]["id"], "one");
    assert!(status["gateway"]["uptime_seconds"].is_number());

    let said = stage.says(&["deregister", "t", "one"]).await;
    assert!(said.contains("with the gateway at"), "{said}");
    assert_eq!(stage.home.json()["templates"], json!({}));
    failed(3, stage.command(&["deregister", "t", "one"]).run().await);
}

#[tokio::test]
async fn a_registry_that_is_named_is_not_taken_for_that_of_another_gateway() {
    let stage = Stage::new(r#"{"templates": {}}"#).await;
    let ours = stage.home.registry().display().to_string();
    let other = stage.home.path().join("other.json").display().to_string();
    let register = ["register", "t", "-e", "http://a", "--id", "x"];
    let registered = stage
        .json_of(&[&register[..], &["-r", &other]].concat())
        .await;
    assert_eq!(registered["by"], "file");
    assert_eq!(registered["registry"], other);
    assert_eq!(stage.home.json()["templates"], json!({}));
    let said = stage.says(&["status", "-r", &other]).await;
    assert!(said.contains("follows another registry"), "{said}");

    let url = stage.gateway.url("");
    let asked = [&register[..], &["--url", &url, "-r", &other]].concat();
    let complaint = failed(2, stage.command(&asked).run().await);
    let expected = format!("does not follow the registry {other}");
    assert!(complaint.contains(&expected), "{complaint}");
    assert_eq!(stage.home.json()["templates"], json!({}));

    for named in [&["-r", &ours][..], &[]] {
        let status = stage.json_of(&[&["status"], named].concat()).await;
        assert_eq!(status["by"], "gateway");
        assert_eq!(status["registry"], ours);
    }
}

#[tokio::test]
async fn a_registry_may_be_configured_by_a_relative_path() {
    let gateway = Bartizan::new(&[])
        .file("registry.json", r#"{"templates": {}}"#)
        .set("MCP_GATEWAY_PORT", 0)
        .set("MCP_GATEWAY_REGISTRY_FILE", "registry.json")
        .start()
        .await;
    // Of the same name, in the directory of who asks.
    let home = Home::new();
    let by = async |registry: &str| {
        let status = home.command(&["status", "--json", "-r", registry]);
        let status = status.set("MCP_GATEWAY_PORT", gateway.address().port());
        let said = said(status.run().await);
        serde_json::from_str::<Value>(&said).unwrap()["by"].clone()
    };
    assert_eq!(by("registry.json").await, "file");
    let registry = gateway.directory().join("registry.json");
    assert_eq!(by(registry.to_str().unwrap()).await, "gateway");
}

#[tokio::test]
async fn a_program_needs_an_operator_and_an_allowed_command() {
    let stage = Stage::new(r#"{"templates": {}}"#).await;
    let register = [
        "register",
        "t",
        "-c",
        "cat",
        "--working-dir",
        "/",
        "--id",
        "x",
    ];
    let without_key = |arguments: &[&str]| {
        let command = stage.command(arguments);
        command.unset("MCP_GATEWAY_ADMIN_KEYS")
    };
    // Named by its address the gateway may be anywhere, so its file is nobody's to write.
    let url = stage.gateway.url("");
    let far = without_key(&[&register[..], &["--url", &url]].concat());
    let complaint = failed(1, far.run().await);
    assert!(complaint.contains("MCP_GATEWAY_ADMIN_KEYS"), "{complaint}");
    assert_eq!(stage.home.json()["templates"], json!({}));
    let said = said(without_key(&register).run().await);
    assert!(said.contains("with the file"), "{said}");
    assert!(said.contains("follows"), "{said}");
    let status = stage.json_of(&["status"]).await;
    assert_eq!(status["instances"][0]["id"], "x", "it is there at once");
    stage.says(&["deregister", "t", "x"]).await;

    stage.says(&register).await;
    let written = &stage.home.json()["templates"]["t"]["instances"][0];
    assert_eq!(written["command"], json!(["cat"]));
    assert_eq!(written["working_dir"], "/");

    let other = ["register", "t", "-c", "rm -rf x", "--id", "y"];
    let complaint = failed(1, stage.command(&other).run().await);
    assert!(
        complaint.contains("MCP_GATEWAY_ALLOWED_COMMANDS"),
        "{complaint}"
    );
    // Whoever may write the file needs nobody's leave.
    let said = stage.says(&[&other[..], &["--offline"]].concat()).await;
    assert!(said.contains("with the file"), "{said}");
}

#[tokio::test]
async fn what_has_no_name_gets_one_from_whoever_writes_it_down() {
    let stage = Stage::new(r#"{"templates": {}}"#).await;
    let without_key = |arguments: &[&str]| {
        let command = stage.command(arguments);
        command.unset("MCP_GATEWAY_ADMIN_KEYS")
    };
    // By this process, which has no operator's key, and by the gateway, all in a moment.
    let program = without_key(&["register", "t", "-c", "cat"]).run();
    let endpoints = ["http://localhost:1", "http://localhost:2"];
    let endpoints = endpoints.map(|it| stage.command(&["register", "t", "-e", it]).run());
    let all = [
        vec![said(program.await)],
        join_all(endpoints).await.into_iter().map(said).collect(),
    ];
    for said in all.concat() {
        assert!(said.starts_with("registered instance t-"), "{said}");
    }
    let instances = &stage.home.json()["templates"]["t"]["instances"];
    assert_eq!(instances.as_array().unwrap().len(), 3, "{instances}");
}

#[tokio::test]
async fn a_key_is_asked_for() {
    let stage = Stage::new(r#"{"templates": {}}"#).await;
    let command = stage.command(&["status"]).unset("MCP_GATEWAY_API_KEYS");
    let complaint = failed(1, command.unset("MCP_GATEWAY_ADMIN_KEYS").run().await);
    assert!(complaint.contains("--api-key-file"), "{complaint}");
    let key = stage.home.path().join("key");
    std::fs::write(&key, format!("{CALLER}\n")).unwrap();
    let url = stage.gateway.url("");
    let arguments = [
        "status",
        "--url",
        &url,
        "--api-key-file",
        key.to_str().unwrap(),
    ];
    let said = stage.home.says(&arguments).await;
    assert!(said.starts_with("from the gateway at"), "{said}");
}

#[tokio::test]
async fn a_time_to_live_is_the_gateways_to_keep() {
    let stage = Stage::new(r#"{"templates": {}}"#).await;
    let endpoint = [
        "register",
        "t",
        "-e",
        "http://127.0.0.1:9",
        "--id",
        "x",
        "--ttl",
        "1",
    ];
    stage.says(&endpoint).await;
    // Nothing is written of what does not stay.
    assert_eq!(stage.home.json()["templates"], json!({}));
    let gone = async { while stage.json_of(&["status"]).await["totals"]["instances"] != 0 {} };
    timeout(PATIENCE, gone).await.expect("it goes by itself");
}

#[tokio::test]
async fn sync_looks_at_the_file_now_and_keeps_what_was_registered() {
    let stage = Stage::new(r#"{"templates": {}}"#).await;
    stage
        .says(&[
            "register",
            "t",
            "-e",
            "http://127.0.0.1:9",
            "--id",
            "by-hand",
        ])
        .await;
    let synced = stage.json_of(&["sync", "-b", "docker"]).await;
    assert_eq!(synced["by"], "gateway");
    assert_eq!(synced["after"]["instances"], 1);
    assert_eq!(synced["removed"], json!([]));

    std::fs::write(stage.home.registry(), "{").unwrap();
    let finished = stage.command(&["sync"]).run().await;
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(finished.stderr.contains("line 1, column 1"), "{finished:?}");
    assert!(
        finished.stdout.contains("instances       1      1       0"),
        "{finished:?}"
    );
}

#[tokio::test]
async fn cleanup_takes_out_what_the_gateway_has_found_to_fail() {
    let instance = sick().await;
    let registry = json!({
        "templates": {"t": {
            "instances": [{"id": "x", "endpoint": instance.url(), "consecutive_failures": 99}],
        }},
    });
    let stage = Stage::new(&registry.to_string()).await;
    // It is the gateway's word that counts, not what stands in the file.
    let cleaned = stage
        .json_of(&["cleanup", "--max-failures", "99", "--dry-run"])
        .await;
    assert_eq!(cleaned["found"], json!([]));
    let failing = async {
        let cleanup = ["cleanup", "--max-failures", "1", "--dry-run"];
        while stage.json_of(&cleanup).await["found"] == json!([]) {}
    };
    timeout(PATIENCE, failing).await.expect("probes fail");
    let complaint = failed(
        2,
        stage
            .command(&["cleanup", "--max-failures", "1"])
            .run()
            .await,
    );
    assert!(complaint.contains("say --yes"), "{complaint}");
    let said = stage
        .says(&["cleanup", "--max-failures", "1", "--yes"])
        .await;
    assert!(said.contains("removed instance x of template t"), "{said}");
    assert_eq!(stage.json_of(&["status"]).await["totals"]["instances"], 0);
}

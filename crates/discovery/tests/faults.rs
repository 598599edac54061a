//! The faults of the gateways whose registries these are, each shown to be absent.
#![cfg(feature = "registry")]

use std::{fs, path::PathBuf, time::Duration};

use bartizan_clock::Clock;
use bartizan_discovery::{
    Format, Instance, Merged, Registrations, Registry, RegistryFile, RegistryStore, Snapshot,
    Transport, Watch,
};

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn ids(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .instances
        .iter()
        .map(|it| it.id().to_string())
        .collect()
}

fn instance(id: &str) -> Instance {
    Instance::new("http://10.0.0.9:80")
        .unwrap()
        .with_id(id)
        .unwrap()
}

const YAML: &str = "version: \"1.0\"\nservers:\n  - namespace: manifest\n    name: sick\n    port: 8081\n  \
                    - namespace: manifest\n    name: well\n    port: 8082\n";

const DOCUMENTED: &str = r#"{
  "templates": {
    "high-performance": {
      "name": "high-performance",
      "instances": [
        {"id": "hp-1", "template_name": "high-performance", "endpoint": "http://localhost:7071",
         "transport": "http", "is_healthy": true}
      ],
      "load_balancer": {
        "strategy": "weighted",
        "health_check_interval": 15,
        "max_retries": 2,
        "timeout": 30
      }
    }
  },
  "metadata": {"version": "1.0.0", "created": "2025-01-01T00:00:00Z"},
  "global_config": {"anything": [1.50, null]}
}
"#;

/// 000: every poll made all routes healthy again, so sick backends came back into rotation.
/// Whoever keeps health by id and address sees nothing of a poll here.
#[tokio::test(start_paused = true)]
async fn a_poll_does_not_make_sick_backends_new() {
    let directory = Directory::new();
    let path = directory.file("registry.yaml", YAML);
    let builder = RegistryFile::builder(&path, Format::Yaml).watched(false);
    let file = builder
        .interval(Duration::from_secs(60))
        .clock(Clock::tokio())
        .spawn()
        .unwrap();
    file.reload().await.unwrap();
    let (before, all) = (file.service("manifest").current(), file.current());
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(file.service("manifest").current(), before);
    assert_eq!(file.current(), all);
    // Nor of a change beside it.
    let more = format!("{YAML}  - namespace: other\n    name: third\n    port: 1\n");
    fs::write(&path, &more).unwrap();
    file.reload().await.unwrap();
    assert_eq!(file.service("manifest").current(), before);
    fs::write(
        &path,
        more.replace(
            "servers:\n",
            "servers:\n  - {namespace: manifest, name: new, port: 9}\n",
        ),
    )
    .unwrap();
    file.reload().await.unwrap();
    let after = file.service("manifest").current();
    let known: Vec<_> = after
        .instances
        .iter()
        .filter(|it| before.instances.contains(it))
        .collect();
    assert_eq!((known.len(), after.instances.len()), (2, 3));
}

/// 000: `health_url` was read and ignored.
#[test]
fn the_health_url_is_not_lost() {
    let text = YAML.replace(
        "port: 8081",
        "port: 8081\n    health_url: http://sick:9000/live?deep=1",
    );
    let registry = Registry::from_yaml(&text).unwrap();
    let entry = registry
        .service("manifest")
        .unwrap()
        .entry("http://sick:8081")
        .unwrap();
    assert_eq!(
        entry.health_url.as_ref().unwrap(),
        "http://sick:9000/live?deep=1"
    );
}

/// 000: `version: 1.0` without quotes failed.
#[test]
fn a_version_needs_no_quotes() {
    let registry = Registry::from_yaml(&YAML.replace("\"1.0\"", "1.0")).unwrap();
    assert_eq!(registry.instance_count(), 2);
}

/// 000: fields that a server has besides were dropped.
#[test]
fn further_fields_of_a_server_are_kept() {
    let registry =
        Registry::from_yaml(&YAML.replace("port: 8081", "port: 8081\n    zone: eu")).unwrap();
    let metadata = registry.services[0].instances[0].metadata();
    assert_eq!(metadata.get("zone").map(|zone| &**zone), Some("eu"));
}

/// 000: a file that did not parse at the start ended the process as if all were well.
#[tokio::test]
async fn a_broken_file_is_an_error_with_its_place_even_at_the_start() {
    let directory = Directory::new();
    let path = directory.file("registry.yaml", "servers:\n  - namespace: [\n");
    let file = RegistryFile::builder(&path, Format::Yaml).spawn().unwrap();
    let error = file.reload().await.unwrap_err();
    assert!(error.contains("registry.yaml: line "), "{error}");
    fs::write(&path, YAML).unwrap();
    assert_eq!(file.reload().await.unwrap().registry.instance_count(), 2);
}

/// 002: the documented root was not the one that the code read, so a documented file was empty.
#[test]
fn a_documented_registry_is_not_empty() {
    let registry = Registry::from_json(DOCUMENTED).unwrap();
    let service = registry.service("high-performance").unwrap();
    assert_eq!(service.instances.len(), 1);
    let strategy = service.balancing.as_ref().unwrap().strategy.as_deref();
    assert_eq!(strategy, Some("weighted"));
}

/// 002: and the next save overwrote it with nothing.
#[tokio::test]
async fn a_documented_registry_is_not_overwritten() {
    let directory = Directory::new();
    let path = directory.file("registry.json", DOCUMENTED);
    let store = RegistryStore::new(&path);
    store.register("fs", instance("fs-1")).await.unwrap();
    store
        .register("high-performance", instance("hp-2"))
        .await
        .unwrap();
    store.deregister("fs", "fs-1").await.unwrap();
    store.deregister("high-performance", "hp-2").await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), DOCUMENTED);
}

/// 002: one field that was not known, as in its own examples, lost the whole registry.
#[tokio::test]
async fn an_unknown_field_costs_nothing() {
    let registry = Registry::from_json(DOCUMENTED).unwrap();
    let metadata = registry.services[0].instances[0].metadata();
    assert_eq!(metadata.get("is_healthy").map(|it| &**it), Some("true"));
    let warnings: Vec<_> = registry.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].ends_with("unknown field `is_healthy` of an instance is kept and not used")
    );
}

/// 002: a running gateway never read again what its own command line had written.
#[tokio::test]
async fn what_another_process_writes_is_noticed() {
    let directory = Directory::new();
    let path = directory.file("registry.json", DOCUMENTED);
    let (gateway, command_line) = (RegistryStore::new(&path), RegistryStore::new(&path));
    let file = gateway
        .source()
        .interval(Duration::from_secs(3_600))
        .spawn()
        .unwrap();
    file.reload().await.unwrap();
    let mut watch = file.service("high-performance");
    command_line
        .register("high-performance", instance("hp-2"))
        .await
        .unwrap();
    told(&mut watch, &["hp-1", "hp-2"]).await;
    fs::write(&path, DOCUMENTED).unwrap();
    told(&mut watch, &["hp-1"]).await;
}

async fn told(watch: &mut Watch, expected: &[&str]) {
    let change = async {
        while ids(&watch.current()) != expected {
            watch.changed().await.unwrap();
        }
    };
    let soon = Duration::from_secs(20);
    tokio::time::timeout(soon, change)
        .await
        .expect("the change was not noticed");
}

/// 002: the transport was not inferred from a command, so a program was called over HTTP.
#[test]
fn a_command_is_a_program() {
    let text = DOCUMENTED.replace(
        "\"endpoint\": \"http://localhost:7071\",\n         \"transport\": \"http\",",
        "\"command\": \"python server.py\", \"working_dir\": \"/app\",",
    );
    let registry = Registry::from_json(&text).unwrap();
    let entry = &registry.services[0].entries[0];
    assert_eq!(entry.transport, Transport::Stdio);
    assert_eq!(
        entry.launch.as_ref().unwrap().command,
        ["python", "server.py"]
    );
}

/// 002: bringing the registry in line with one source deleted what others had registered.
#[tokio::test]
async fn one_source_does_not_take_out_what_another_has() {
    let directory = Directory::new();
    let path = directory.file("registry.json", DOCUMENTED);
    let file = RegistryFile::builder(&path, Format::Json)
        .watched(false)
        .spawn()
        .unwrap();
    let registrations = Registrations::builder().spawn();
    registrations
        .register("high-performance", instance("manual"), None)
        .unwrap();
    file.reload().await.unwrap();
    let merged = Merged::builder()
        .source("file", &file.service("high-performance"))
        .source("registered", &registrations.service("high-performance"))
        .spawn();
    let mut watch = bartizan_discovery::Discover::watch(&merged);
    assert_eq!(ids(&watch.current()), ["hp-1", "manual"]);
    fs::write(&path, "{\"templates\": {}}").unwrap();
    file.reload().await.unwrap();
    told(&mut watch, &["manual"]).await;
}

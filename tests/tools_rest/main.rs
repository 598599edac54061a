//! `/health`, `/tools` and `/tools/{namespace.tool}` over real sockets: every field, status and
//! text of the document, and the faults of the original that must not come back.

mod calls;
mod errors;
mod health;
mod mcp;
mod names;

use std::path::PathBuf;

use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with a `registry.yaml`.
struct Place {
    _directory: TempDir,
    path: PathBuf,
}

impl Place {
    fn new(content: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.yaml");
        std::fs::write(&path, content).unwrap();
        Self {
            _directory: directory,
            path,
        }
    }

    /// Probes are frequent, and one is enough to tell.
    fn variables(&self) -> Variables {
        let mut variables = Variables::default()
            .set("REGISTRY_PATH", self.path.display())
            .set("POLL_INTERVAL", 1)
            .set("HEALTH_CHECK_INTERVAL", 1);
        for name in ["MANIFEST", "N8N"] {
            for threshold in ["HEALTHY_THRESHOLD", "UNHEALTHY_THRESHOLD"] {
                variables = variables.set(&format!("MCP_SERVICE_{name}_{threshold}"), 1);
            }
        }
        variables
    }

    async fn start(&self) -> Running {
        self.variables().start().await
    }
}

/// A `registry.yaml` as the document shows it.
fn documented(port: u16, more: &str) -> String {
    format!(
        r#"
version: "1.0"

servers:
  - namespace: manifest
    name: 127.0.0.1
    docker_image: chora-mcp-manifest:latest
    port: {port}
    tools:
      - name: list_servers
        description: List all registered MCP servers
        inputSchema: {{"type": "object", "properties": {{"filter": {{"type": "string"}}}}}}
      - name: get_server
        description: Get details of a specific server
      - name: get.dotted
{more}"#
    )
}

/// A server with the documented tools and a health of its own.
async fn manifest() -> Upstream {
    let backend = Upstream::start_with(|_| {
        Reply::json(r#"{"servers": [{"namespace": "n8n", "port": 8082, "n": 1.10}]}"#)
    })
    .await;
    backend.aside("/health", Reply::json("{}"));
    backend.aside("/api/definition", Reply::status(404));
    backend
}

async fn gateway(backend: &Upstream) -> (Place, Running) {
    let place = Place::new(&documented(backend.address().port(), ""));
    let gateway = place.start().await;
    (place, gateway)
}

fn detail(answer: &Answer) -> String {
    let json = answer.json();
    let detail = json["detail"].as_str();
    detail.unwrap_or_else(|| panic!("{json}")).to_owned()
}

fn status_is(status: &'static str) -> impl Fn(&Value) -> bool {
    move |health| health["status"] == status
}

const CALL: &str = "/tools/manifest.list_servers";

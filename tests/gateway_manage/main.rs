//! `/gateway/*` over real sockets: every endpoint, field, status and text of the document, and
//! the faults of the original that must not come back.

mod changes;
mod files;
mod registering;
mod statistics;

use std::path::PathBuf;

use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with a `registry.json`.
struct Place {
    _directory: TempDir,
    path: PathBuf,
}

impl Place {
    fn new(content: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.json");
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        Self {
            _directory: directory,
            path,
        }
    }

    fn variables(&self) -> Variables {
        Variables::default()
            .set("MCP_GATEWAY_REGISTRY_FILE", self.path.display())
            .set("MCP_GATEWAY_HEALTH_INTERVAL", 1)
    }

    async fn start(&self) -> Running {
        self.variables().start().await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

async fn register(gateway: &Running, body: &Value) -> Answer {
    gateway.post_to("/gateway/register", body.to_string()).await
}

fn detail(answer: &Answer) -> String {
    let json = answer.json();
    let detail = json["detail"].as_str();
    detail.unwrap_or_else(|| panic!("{json}")).to_owned()
}

/// A server that answers whatever it is asked.
async fn backend() -> Upstream {
    Upstream::start_with(|_| Reply::json(r#"{"jsonrpc":"2.0","id":"bartizan-probe","result":{}}"#))
        .await
}

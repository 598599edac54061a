//! `bartizan gateway`: with the file of a registry, with a gateway that runs, and with whatever
//! else may be there instead.

#[path = "../common/mod.rs"]
mod common;

mod asking;
mod background;
mod file;
mod running;
mod scripted;

use std::{fs, path::Path};

use common::{Bartizan, Finished};
use serde_json::Value;
use tempfile::TempDir;

/// A home directory, and the commands of somebody who lives there.
struct Home {
    directory: TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
        }
    }

    /// The same with a registry.
    fn with(registry: &str) -> Self {
        let home = Self::new();
        fs::create_dir(home.path().join(".mcp")).unwrap();
        fs::write(home.registry(), registry).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the documents say that the registry is.
    fn registry(&self) -> std::path::PathBuf {
        self.path().join(".mcp/gateway_registry.json")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.registry()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// `bartizan gateway` with these arguments. Port 0 is one where no gateway is looked for.
    fn command(&self, arguments: &[&str]) -> Bartizan {
        let arguments = [&["gateway"], arguments].concat();
        Bartizan::new(&arguments)
            .set("HOME", self.path().display())
            .set("MCP_GATEWAY_PORT", 0)
    }

    async fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).run().await
    }

    /// What a command says that succeeds.
    async fn says(&self, arguments: &[&str]) -> String {
        said(self.run(arguments).await)
    }

    /// What it says to a script.
    async fn json_of(&self, arguments: &[&str]) -> Value {
        let said = self.says(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&said).unwrap()
    }

    /// What a command complains of that ends with `code`.
    async fn fails(&self, code: i32, arguments: &[&str]) -> String {
        failed(code, self.run(arguments).await)
    }
}

fn said(finished: Finished) -> String {
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stderr, "", "{finished:?}");
    finished.stdout
}

fn failed(code: i32, finished: Finished) -> String {
    assert_eq!(finished.status.code(), Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "", "{finished:?}");
    finished.stderr
}

/// Two templates, of which one has an instance that fails.
const REGISTRY: &str = r#"{
  "templates": {
    "filesystem": {
      "instances": [
        {
          "id": "fs-1", "template_name": "filesystem", "endpoint": "http://127.0.0.1:7071",
          "transport": "http", "status": "healthy", "is_healthy": true,
          "metadata": {"weight": 3}
        },
        {
          "id": "fs-2", "template_name": "filesystem", "endpoint": "http://127.0.0.1:7072",
          "transport": "http", "status": "unhealthy", "consecutive_failures": 7
        }
      ],
      "load_balancer": {"strategy": "weighted", "health_check_interval": 15}
    },
    "clock": {
      "instances": [
        {
          "id": "clock-1", "template_name": "clock", "transport": "stdio",
          "command": ["clock-server", "--token=hunter2"], "env_vars": {"KEY": "hunter3"}
        }
      ]
    }
  },
  "last_updated": "2026-01-01T00:00:00Z"
}
"#;

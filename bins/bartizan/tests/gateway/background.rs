//! `gateway start --background`.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{Home, REGISTRY, common::PATIENCE, said};

/// A gateway that was left running. It ends with the test, however that ends.
struct Started {
    url: String,
    pid: u64,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Started {
    async fn new(home: &Home, arguments: &[&str]) -> Self {
        let start = ["start", "--background", "--port", "0"];
        let started = home.json_of(&[&start[..], arguments].concat()).await;
        let text = |name: &str| started[name].as_str().unwrap().to_owned();
        Self {
            url: text("url"),
            pid: started["pid"].as_u64().unwrap(),
            log: text("log").into(),
            pid_file: text("pid_file").into(),
        }
    }

    /// Sends it a signal; false when there is no such process.
    fn signal(&self, name: &str) -> bool {
        let mut kill = std::process::Command::new("kill");
        let kill = kill.args([&format!("-{name}"), &self.pid.to_string()]);
        kill.output().unwrap().status.success()
    }

    async fn stop(&self) {
        assert!(self.signal("TERM"));
        let gone = async {
            while self.pid_file.exists() || self.signal("0") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, gone)
            .await
            .expect("it stops when it is told to");
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Only while the file is there is the number that of the gateway.
        if self.pid_file.exists() {
            self.signal("KILL");
        }
    }
}

#[tokio::test]
async fn it_goes_on_in_a_session_of_its_own_until_it_is_stopped() {
    let home = Home::with(REGISTRY);
    let started = Started::new(&home, &["--log-level", "INFO"]).await;
    assert_eq!(
        started.log,
        home.path().join(".mcp/gateway_registry.json.log")
    );
    let said_where = fs::read_to_string(&started.pid_file).unwrap();
    assert_eq!(said_where, format!("{}\n{}\n", started.pid, started.url));
    let pid = started.pid.to_string();
    let session = Command::new("ps")
        .args(["-o", "sid=", "-p", &pid])
        .output()
        .await;
    let session = String::from_utf8(session.unwrap().stdout).unwrap();
    assert_eq!(session.trim(), pid);
    assert!(started.log().contains("listening"), "{}", started.log());

    // Commands that know the registry know the gateway, whatever its port.
    let status = home.json_of(&["status"]).await;
    assert_eq!(status["by"], "gateway");
    assert_eq!(status["url"], started.url);
    assert_eq!(status["totals"]["instances"], 3);

    started.stop().await;
    let status = home.json_of(&["status"]).await;
    assert_eq!(status["by"], "file");
    assert!(started.log().contains("stopped"), "{}", started.log());
}

#[tokio::test]
async fn a_second_one_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let started = Started::new(&home, &[]).await;
    for arguments in [
        &["start", "--background", "-p", "0"][..],
        &["start", "-p", "0"],
    ] {
        let complaint = home.fails(1, arguments).await;
        assert!(
            complaint.contains("runs with this registry already"),
            "{complaint}"
        );
        let stop = format!("kill {}", started.pid);
        assert!(complaint.contains(&stop), "{complaint}");
        assert!(complaint.contains(&started.url), "{complaint}");
    }
    // Another registry is another gateway.
    let other = home.path().join("other.json");
    let other = Started::new(&home, &["--registry", other.to_str().unwrap()]).await;
    assert_ne!(other.url, started.url);
    other.stop().await;
    started.stop().await;
    Started::new(&home, &[]).await.stop().await;
}

#[tokio::test]
async fn one_that_was_killed_is_in_nobodys_way() {
    let home = Home::new();
    let killed = Started::new(&home, &[]).await;
    assert!(killed.signal("KILL"));
    // In the moment of its death it may still hold what it held.
    let ended = async {
        while killed.signal("0") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
    let status = home.says(&["status", "--json"]).await;
    assert!(status.contains(r#""by": "file""#), "{status}");
    let started = Started::new(&home, &[]).await;
    started.stop().await;
}

#[tokio::test]
async fn one_that_cannot_start_says_why() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    // What is in the log from before is not said again.
    fs::create_dir(home.path().join(".mcp")).unwrap();
    fs::write(
        home.path().join(".mcp/gateway_registry.json.log"),
        "of old\n",
    )
    .unwrap();
    let complaint = home
        .fails(1, &["start", "--background", "--port", &port])
        .await;
    assert!(
        complaint.starts_with("the gateway did not start:\n"),
        "{complaint}"
    );
    assert!(complaint.contains("address in use"), "{complaint}");
    assert!(!complaint.contains("of old"), "{complaint}");

    let start = ["start", "--background", "--host", "0.0.0.0", "-p", "0"];
    let complaint = home.fails(1, &start).await;
    let refused = "refusing to listen on 0.0.0.0 without inbound authentication";
    assert!(complaint.contains(refused), "{complaint}");
    assert!(
        complaint.contains("MCP_GATEWAY_INSECURE_BIND=true"),
        "{complaint}"
    );
    assert!(!home.path().join(".mcp/gateway_registry.json.pid").exists());
}

#[tokio::test]
async fn a_log_that_has_grown_large_makes_room() {
    let home = Home::new();
    fs::create_dir(home.path().join(".mcp")).unwrap();
    let log = home.path().join(".mcp/gateway_registry.json.log");
    let large = fs::File::create(&log).unwrap();
    large.set_len((10 << 20) + 1).unwrap();
    let started = Started::new(&home, &[]).await;
    assert!(fs::metadata(&log).unwrap().len() < 1 << 20);
    assert!(
        home.path()
            .join(".mcp/gateway_registry.json.log.1")
            .exists()
    );
    started.stop().await;
}

#[tokio::test]
async fn the_foreground_does_the_same_with_what_it_is_told() {
    let home = Home::with(REGISTRY);
    let start = [
        "start",
        "-h",
        "localhost",
        "-p",
        "0",
        "--no-sync",
        "--health-interval",
        "45",
    ];
    let start = [&start[..], &["--log-level", "WARNING"]].concat();
    // Its log says nothing at that level; the pid file says where it is.
    let (mut child, _directory) = home.command(&start).spawn();
    let status = async {
        loop {
            let finished = home.run(&["status", "--json"]).await;
            let status: Value = serde_json::from_str(&said(finished)).unwrap();
            if status["by"] == "gateway" {
                break status;
            }
        }
    };
    let status = timeout(PATIENCE, status).await.unwrap();
    let url = status["url"].as_str().unwrap();
    let stats = crate::common::curl(&[&format!("{url}/gateway/stats")]).await;
    let stats = stats.json();
    assert_eq!(stats["health_checker"]["check_interval"], 45.0);
    crate::common::signal(&child, "TERM").await;
    let ended = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(ended.success());
}

#[tokio::test]
async fn h_is_the_host_and_help_has_to_be_spelled_out() {
    let home = Home::new();
    let help = home.says(&["start", "--help"]).await;
    assert!(help.contains("-h, --host <ADDRESS>"), "{help}");
    assert!(!help.contains("detached"), "{help}");
    let help = home.says(&["status", "-h"]).await;
    assert!(help.contains("--registry"), "{help}");
    home.fails(2, &["start", "-h", "nonsense"]).await;
}

//! The program under test, run as a user runs it: its own process, with nothing in its
//! environment and its directory but what a test puts there.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod curl;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

pub(crate) use curl::{Reply, curl};

/// How long anything may take before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A command line that was not run yet.
pub(crate) struct Bartizan {
    command: Command,
    directory: TempDir,
}

/// What a command that ended said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bartizan {
    /// `bartizan` with these arguments, in an empty directory and an empty environment.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::of(env!("CARGO_BIN_EXE_bartizan"), arguments)
    }

    /// The same under a limit of open files that it may raise.
    pub(crate) fn with_few_files(files: u32, arguments: &[&str]) -> Self {
        let script = format!("ulimit -Sn {files} && exec \"$0\" \"$@\"");
        let program = ["-c", &script, env!("CARGO_BIN_EXE_bartizan")];
        Self::of("/bin/sh", &[&program, arguments].concat())
    }

    fn of(program: &str, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { command, directory }
    }

    /// The same with a sound configuration: `user-service` at `endpoint`, a bearer token, and
    /// whatever port is free.
    pub(crate) fn sound(arguments: &[&str], endpoint: &str) -> Self {
        Self::new(arguments).with_service(endpoint)
    }

    /// What makes it [`sound`](Self::sound).
    pub(crate) fn with_service(self, endpoint: &str) -> Self {
        self.set("MCP_GATEWAY_PORT", 0)
            .set("MCP_SERVICES", "user-service")
            .user("ENDPOINT", endpoint)
            .user("AUTH_TYPE", "bearer")
            .user("TOKEN", "s3cr3t-token")
    }

    /// Sets a variable of the environment.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "numbers and literals read better without a reference"
    )]
    pub(crate) fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.command.env(name, value.to_string());
        self
    }

    /// Takes a variable away again.
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets a variable of `user-service`, named without its prefix.
    pub(crate) fn user(self, name: &str, value: impl ToString) -> Self {
        self.set(&format!("MCP_SERVICE_USER_SERVICE_{name}"), value)
    }

    /// Writes a file into the directory that it will run in.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    /// The path of a file in the directory that it will run in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where its standard input comes from, which is empty otherwise.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Where its standard output goes, instead of into what [`run`](Self::run) gives back.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Where its log and its complaints go, likewise.
    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// Starts it and looks at nothing that it says.
    pub(crate) fn spawn(mut self) -> (Child, TempDir) {
        (self.command.spawn().unwrap(), self.directory)
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Finished {
        let (child, _directory) = self.spawn();
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.expect("a command that ends").unwrap();
        Finished {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a gateway and waits until it says where it listens.
    pub(crate) async fn start(self) -> Running {
        let (mut child, directory) = self.spawn();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        let mut running = Running {
            child,
            log,
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            directory,
        };
        running.address = running.says_where().await;
        running
    }
}

/// A gateway that listens. It ends with the test, however that ends.
pub(crate) struct Running {
    child: Child,
    log: watch::Receiver<String>,
    address: SocketAddr,
    directory: TempDir,
}

impl Running {
    /// Where it listens, or can be reached if it listens everywhere.
    pub(crate) fn address(&self) -> SocketAddr {
        match self.address {
            all if all.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, all.port()).into(),
            one => one,
        }
    }

    /// How many files it may have open: now, and at most.
    #[cfg(target_os = "linux")]
    pub(crate) fn files(&self) -> [String; 2] {
        let limits = format!("/proc/{}/limits", self.child.id().unwrap());
        let limits = std::fs::read_to_string(limits).unwrap();
        let files = limits.lines().find(|it| it.starts_with("Max open files"));
        let mut numbers = files.unwrap().split_whitespace().skip(3).map(str::to_owned);
        [(); 2].map(|()| numbers.next().unwrap())
    }

    /// What its threads are called.
    #[cfg(target_os = "linux")]
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = format!("/proc/{}/task", self.child.id().unwrap());
        let tasks = std::fs::read_dir(tasks).unwrap();
        // One may end between the two looks.
        let names =
            tasks.filter_map(|it| std::fs::read_to_string(it.ok()?.path().join("comm")).ok());
        names.map(|name| name.trim().to_owned()).collect()
    }

    /// Where it said that it listens.
    pub(crate) fn bound(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Waits until its log holds `text`.
    pub(crate) async fn logs(&self, text: &str) {
        let mut log = self.log.clone();
        let found = timeout(PATIENCE, log.wait_for(|log| log.contains(text))).await;
        let found = found.is_ok_and(|found| found.is_ok());
        assert!(found, "no {text:?} in\n{}", self.log());
    }

    async fn says_where(&self) -> SocketAddr {
        let mut log = self.log.clone();
        let said = timeout(PATIENCE, log.wait_for(|log| listening(log).is_some())).await;
        let address = said.ok().and_then(|log| listening(&log.ok()?));
        address.unwrap_or_else(|| panic!("it does not listen:\n{}", self.log()))
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        curl(&[&self.url(path)]).await
    }

    /// `POST /mcp/request` with `body`, and more arguments for curl.
    pub(crate) async fn post(&self, body: &str, arguments: &[&str]) -> Reply {
        let url = self.url("/mcp/request");
        let post = [&["--data-binary", body][..], arguments, &[&url]].concat();
        curl(&post).await
    }

    /// Calls an operation of `user-service`.
    pub(crate) async fn call(&self, operation: &str) -> Reply {
        let body = format!(r#"{{"service":"user-service","operation":"{operation}"}}"#);
        self.post(&body, &[]).await
    }

    /// Sends it a signal, named without `SIG`.
    pub(crate) async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    /// Waits until it ended by itself: its status and all that it said.
    pub(crate) async fn ended(mut self) -> Finished {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("a process that ends").unwrap();
        let mut stdout = String::new();
        let mut output = self.child.stdout.take().unwrap();
        output.read_to_string(&mut stdout).await.unwrap();
        // Ends when its log was read to the end.
        let mut log = self.log.clone();
        while log.changed().await.is_ok() {}
        Finished {
            status,
            stdout,
            stderr: self.log(),
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Finished {
        self.signal("TERM").await;
        self.ended().await
    }
}

impl Drop for Running {
    #[allow(clippy::print_stderr, reason = "tells why a test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            // At trace level there are thousands.
            let last = lines.len().saturating_sub(40);
            eprintln!("{}", lines[last..].join("\n"));
        }
    }
}

/// The address in the line that says where it listens, in either form.
fn listening(log: &str) -> Option<SocketAddr> {
    let json = |line: &str| {
        let json: Value = serde_json::from_str(line).ok()?;
        (json["message"] == "listening").then(|| json["address"].as_str()?.parse().ok())?
    };
    let text = |line: &str| {
        let (_, fields) = line.split_once("listening address=")?;
        fields.split(' ').next()?.parse().ok()
    };
    log.lines()
        .find_map(|line| json(line).or_else(|| text(line)))
}

/// Sends `child` a signal, named without `SIG`.
pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("a process that runs").to_string();
    let mut kill = Command::new("kill");
    let sent = kill.args([&format!("-{name}"), &pid]).status().await;
    assert!(sent.unwrap().success());
}

//! Runs commands and gateways in a directory of their own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use bartizan_clock::Clock;
use tempfile::TempDir;

use crate::guide::{Step, compare};

/// How long a gateway may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(15);

/// One reader with a terminal or two.
pub(crate) struct Session {
    directory: TempDir,
    backend: u16,
    pub(crate) exported: Vec<(String, String)>,
    gateway: Option<Gateway>,
}

impl Session {
    pub(crate) fn new(backend: u16) -> Self {
        let directory = TempDir::new().unwrap();
        // Nobody's own settings for curl, and no line that waits for ever.
        fs::write(
            directory.path().join(".curlrc"),
            "max-time = 10\nnoproxy = \"*\"\n",
        )
        .unwrap();
        Self {
            directory,
            backend,
            exported: Vec::new(),
            gateway: None,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `text` with the ports that are used here.
    pub(crate) fn here(&self, text: &str) -> String {
        let gateway = self.gateway.as_ref().map_or(8080, |gateway| gateway.port);
        text.replace(":8080", &format!(":{gateway}"))
            .replace(":8081", &format!(":{}", self.backend))
    }

    pub(crate) fn follow(&mut self, step: &Step) {
        let command = self.here(&step.command);
        let shown: Vec<_> = step.expected.iter().map(String::as_str).collect();
        if let Some(assignment) = command.strip_prefix("export ") {
            let (name, value) = assignment.split_once('=').unwrap();
            self.exported.push((name.to_owned(), value.to_owned()));
        } else if let Some(variables) = serves(&command) {
            // Ends the gateway before.
            self.gateway = None;
            let mut gateway = Gateway::start(self.directory.path(), &self.exported, &variables);
            let mut shown = shown.split(|line| *line == "^C");
            compare(
                &step.command,
                shown.next().unwrap_or_default(),
                &gateway.log(),
            );
            if let Some(rest) = shown.next() {
                let before = gateway.log().len();
                assert!(gateway.interrupt().success());
                compare(&step.command, rest, &gateway.log()[before..]);
            }
            self.gateway = Some(gateway);
        } else {
            compare(&step.command, &shown, &self.run(&command));
        }
    }

    fn run(&self, command: &str) -> String {
        let mut shell = Command::new("sh");
        clean(&mut shell, self.directory.path());
        let output = shell
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .envs(self.exported.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The variables before `bartizan`, if the command starts a gateway.
fn serves(command: &str) -> Option<Vec<(&str, &str)>> {
    let words: Vec<_> = command.split(' ').collect();
    let (last, variables) = words.split_last()?;
    let variables = variables.iter().map(|word| word.split_once('='));
    let variables: Vec<_> = variables.collect::<Option<_>>()?;
    let unquoted = variables
        .into_iter()
        .map(|(name, value)| (name, value.trim_matches('\'')))
        .collect();
    (*last == "bartizan").then_some(unquoted)
}

struct Gateway {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Gateway {
    fn start(directory: &Path, exported: &[(String, String)], variables: &[(&str, &str)]) -> Self {
        let log = directory.join("log");
        let mut child = bartizan(directory)
            .envs(exported.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied())
            .env("PORT", "0")
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let deadline = Clock::default().now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&log).unwrap();
            let port = text.split_once("127.0.0.1:").map(|(_, rest)| rest);
            let port = port.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
            // The line is there when its end is.
            if let Some(port) = port.filter(|_| text.ends_with('\n')) {
                let port = port.parse().unwrap();
                return Self { child, port, log };
            }
            assert!(child.try_wait().unwrap().is_none(), "{text}");
            assert!(Clock::default().now() < deadline, "{text}");
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn interrupt(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-INT", &pid]).status();
        assert!(kill.unwrap().success());
        let deadline = Clock::default().now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Clock::default().now() < deadline, "it does not stop");
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test, with nothing of the environment that could configure it.
pub(crate) fn bartizan(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    clean(&mut command, directory);
    command
}

/// Leaves of the environment only where the tools are.
#[allow(
    clippy::disallowed_methods,
    reason = "where the tools are is no configuration of the gateway"
)]
fn clean(command: &mut Command, directory: &Path) {
    let binary = Path::new(env!("CARGO_BIN_EXE_bartizan"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", binary.parent().unwrap().display());
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", directory)
        .env("CURL_HOME", directory)
        .current_dir(directory);
}

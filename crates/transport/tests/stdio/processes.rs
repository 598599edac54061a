//! What the kernel knows of processes, and how tests start them.

use std::{fs, path::Path, time::Duration};

use bartizan_transport::stdio::{Child, Command, Limits, spawn};
use bytes::Bytes;

/// A process in `/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) zombie: bool,
}

/// All processes of the machine.
pub(crate) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| process(&entry.path())).collect()
}

fn process(directory: &Path) -> Option<Process> {
    let pid = directory.file_name()?.to_str()?.parse().ok()?;
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    Some(Process {
        pid,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        zombie: matches!(state, "Z" | "X"),
    })
}

/// The members of a process group: those that live, and those dead that this process has to reap.
/// Dead ones whose parent is dead too are for init to reap, which some do at their leisure.
pub(crate) fn group(id: u32) -> Vec<Process> {
    let mut all = processes();
    let me = std::process::id();
    all.retain(|process| process.group == id && (!process.zombie || process.parent == me));
    all
}

/// Waits until `happened`, for five seconds at most.
pub(crate) async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen");
}

/// Waits until nothing is left of a group.
pub(crate) async fn gone(id: u32) {
    eventually("the end of the group", || group(id).is_empty()).await;
}

/// Like the default, but in a hurry.
pub(crate) fn limits() -> Limits {
    Limits {
        stop_grace: Duration::from_millis(100),
        term_grace: Duration::from_millis(300),
        ..Limits::default()
    }
}

pub(crate) fn shell(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

pub(crate) fn start(script: &str) -> Child {
    spawn(&shell(script), &limits()).unwrap()
}

pub(crate) fn message(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Fails instead of hanging.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    let soon = tokio::time::timeout(Duration::from_secs(5), future);
    soon.await.expect("takes less than five seconds")
}

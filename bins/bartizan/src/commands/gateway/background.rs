use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use bartizan_clock::Clock;
use serde_json::json;

use super::{
    PidFile, Trouble,
    pid_file::{Running, beside, options},
    remote::{Keys, Remote},
};
use crate::commands::{Failure, print, run};

/// How long a gateway may take to listen. It connects to nobody before it does.
const START_WITHIN: Duration = Duration::from_secs(30);
/// From one look at it to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A log that is larger makes room when a gateway starts; the one before it is kept.
const MAX_LOG_BYTES: u64 = 10 << 20;

/// Starts this program again, in a session of its own, and waits until it serves.
pub(super) fn start(registry: &Path, json: bool) -> Result<(), Failure> {
    if let Some(Running { pid, url }) = PidFile::running(registry) {
        let place = url.map_or_else(String::new, |url| format!(", at {url}"));
        return Err(Trouble::Running { pid, place }.into());
    }
    let log_path = beside(registry, ".log");
    let (log, begin) = open(&log_path).map_err(|source| Trouble::File {
        path: log_path.clone(),
        source,
    })?;
    let mut child = spawn(&log).map_err(|error| Trouble::NotStarted(error.to_string()))?;
    let started = run(until_it_serves(&mut child, registry))?;
    match started {
        Ok(url) => {
            let (pid, pid_file) = (child.id(), PidFile::path(registry));
            let [log, pid_file, registry] =
                [&log_path, &pid_file, registry].map(|path| path.display().to_string());
            if json {
                let object = json!({
                    "url": url, "pid": pid, "log": log, "pid_file": pid_file,
                    "registry": registry,
                });
                return print(&format_args!("{object:#}"));
            }
            print(&format_args!(
                "gateway started at {url}, process {pid}\n\
                 registry: {registry}\n\
                 log: {log}\n\
                 stop it with: kill {pid}"
            ))
        }
        Err(NotServing::Ended(status)) => {
            let said = said(&log_path, begin);
            let text = if said.is_empty() {
                format!("it ended with {status} and said nothing")
            } else {
                said
            };
            Err(Trouble::NotStarted(text).into())
        }
        Err(NotServing::Late) => {
            // What did not start must not go on unseen.
            let _ = child.kill().and_then(|()| child.wait());
            let seconds = START_WITHIN.as_secs();
            Err(Trouble::NotStarted(format!(
                "it did not listen within {seconds} s and was stopped; see {}",
                log_path.display()
            ))
            .into())
        }
        Err(NotServing::Failed(failure)) => {
            let _ = child.kill().and_then(|()| child.wait());
            Err(*failure)
        }
    }
}

/// The log to write to, and where in it what is new begins.
fn open(path: &Path) -> io::Result<(File, u64)> {
    if fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.len() > MAX_LOG_BYTES) {
        fs::rename(path, beside(path, ".1"))?;
    }
    // What is in it is for the user alone.
    let file = options(0o600).create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// This program with the same arguments, told that it is the one in the background.
fn spawn(log: &File) -> io::Result<Child> {
    let arguments = std::env::args_os().skip(1).map(|argument| {
        if argument == "--background" {
            "--detached".into()
        } else {
            argument
        }
    });
    Command::new(std::env::current_exe()?)
        .args(arguments.filter(|argument| argument != "--json"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
}

enum NotServing {
    Ended(ExitStatus),
    Late,
    Failed(Box<Failure>),
}

/// Waits until the process listens and answers; where it does.
async fn until_it_serves(child: &mut Child, registry: &Path) -> Result<String, NotServing> {
    let failed = |failure: Failure| NotServing::Failed(Box::new(failure));
    let clock = Clock::default();
    let deadline = clock.now() + START_WITHIN;
    let mut remote: Option<Remote> = None;
    while clock.now() < deadline {
        let ended = child.try_wait().map_err(Failure::Runtime).map_err(failed)?;
        if let Some(status) = ended {
            return Err(NotServing::Ended(status));
        }
        if remote.is_none() {
            let ours = PidFile::running(registry).filter(|running| running.pid == child.id());
            if let Some(url) = ours.and_then(|running| running.url) {
                remote = Some(Remote::new(url, Keys::default(), None).map_err(failed)?);
            }
        }
        if let Some(remote) = &remote
            && remote.is_alive().await
        {
            return Ok(remote.url().to_owned());
        }
        clock.sleep(LOOK_EVERY).await;
    }
    Err(NotServing::Late)
}

/// The end of what was written to the log since.
fn said(path: &Path, begin: u64) -> String {
    const MOST_BYTES: u64 = 16 << 10;

    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            begin.max(length.saturating_sub(MOST_BYTES)),
        ))?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_default()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_log_is_a_file_of_ones_own() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name| directory.path().join(name);
        fs::write(place("somebody's"), "mine").unwrap();
        symlink(place("somebody's"), place("link")).unwrap();
        assert!(open(&place("link")).is_err());
        assert_eq!(fs::read_to_string(place("somebody's")).unwrap(), "mine");
        let (log, begin) = open(&place("log")).unwrap();
        let mode = log.metadata().unwrap().permissions().mode();
        assert_eq!((mode & 0o777, begin), (0o600, 0));
    }
}

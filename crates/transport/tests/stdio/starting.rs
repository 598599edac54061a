//! How a child comes to be.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process, process::Stdio};

use bartizan_transport::stdio::{Child, Command, SpawnError, spawn};

use crate::processes::{eventually, group, limits, message, soon};

/// A process of its own writes it: had this one the file open for writing, a child of another test
/// could inherit that for the moment before it loads its program, and the kernel would find the
/// script busy.
fn script(directory: &Path, content: &str) -> Command {
    let path = directory.join("server");
    let mut writer = process::Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(content.as_bytes()).unwrap();
    drop(input);
    assert!(writer.wait().unwrap().success());
    Command::new(path)
}

fn start_error(command: &Command) -> SpawnError {
    spawn(command, &limits()).map(drop).unwrap_err()
}

fn id(child: &Child) -> u32 {
    child.handle().id()
}

/// A file of the kernel about the child, which is empty for a moment while the program is loaded.
async fn read(child: &Child, file: &str) -> String {
    let path = format!("/proc/{}/{file}", id(child));
    let mut content = String::new();
    eventually("loading", || {
        content = fs::read_to_string(&path).unwrap();
        !content.is_empty()
    })
    .await;
    content
}

/// A signal right after the start must reach the group, not miss it because it is not there yet.
#[tokio::test]
async fn the_group_exists_from_the_start() {
    for _ in 0..20 {
        let child = spawn(&Command::new("cat"), &limits()).unwrap();
        let members = group(id(&child));
        assert!(members.iter().any(|member| member.pid == id(&child)));
        child.handle().kill();
        soon(child.handle().exited()).await;
        assert!(group(id(&child)).is_empty());
    }
}

/// Lesson 29 and design decision 10: a child sees what it was given and nothing else.
#[tokio::test]
async fn the_environment_is_what_was_given() {
    let command = Command::new("sleep")
        .args(["1000"])
        .inherited(vec![
            ("HOME".into(), "/home".into()),
            ("PATH".into(), "/usr/bin:/bin".into()),
        ])
        .env("TOKEN", "secret")
        .env("HOME", "/other");
    let child = spawn(&command, &limits()).unwrap();
    let environment = read(&child, "environ").await;
    let mut variables: Vec<_> = environment.split_terminator('\0').collect();
    variables.sort_unstable();
    assert_eq!(
        variables,
        ["HOME=/other", "PATH=/usr/bin:/bin", "TOKEN=secret"]
    );
}

/// A descriptor passed on would keep a socket of the gateway open, or hand out a file.
#[tokio::test]
async fn no_descriptor_is_passed_on() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let (outgoing, mut incoming, handle) = spawn(&Command::new("cat"), &limits()).unwrap().split();
    // When it answers, it has loaded its libraries and closed their files.
    outgoing.send(message("{}")).await.unwrap();
    soon(incoming.next()).await.unwrap().unwrap();
    // Cargo hands its own down to all, so they cannot just be counted.
    for entry in fs::read_dir(format!("/proc/{}/fd", handle.id())).unwrap() {
        let open = fs::read_link(entry.unwrap().path()).unwrap();
        let shown = open.to_string_lossy();
        assert_ne!(open, secret.path());
        assert!(
            !shown.starts_with("socket:") && !shown.starts_with("anon_inode:"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn the_working_directory_and_the_name_are_as_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let content = "#!/bin/sh\nprintf '{\"wd\":\"%s\"}\\n' \"$(pwd -P)\"; exec cat\n";
    let _ = script(directory.path(), content);
    let command = Command::new("./server").working_dir(directory.path());
    let (_outgoing, mut incoming, _handle) = spawn(&command, &limits()).unwrap().split();
    let expected = format!(
        "{{\"wd\":\"{}\"}}",
        directory.path().canonicalize().unwrap().display()
    );
    assert_eq!(
        soon(incoming.next()).await.unwrap().unwrap(),
        message(&expected)
    );

    let child = spawn(&Command::new("cat"), &limits()).unwrap();
    assert_eq!(read(&child, "cmdline").await, "cat\0");
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = start_error(&Command::new("no-such-server"));
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
    assert_eq!(error.to_string(), "program \"no-such-server\" not found");
    let error = start_error(&Command::new("/no/such/server"));
    assert!(matches!(error, SpawnError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_interpreter_is_not_a_missing_program() {
    let directory = tempfile::tempdir().unwrap();
    let error = start_error(&script(directory.path(), "#!/no/such/interpreter\n"));
    assert!(
        matches!(error, SpawnError::NoInterpreter { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_missing_directory_is_not_a_missing_program() {
    let error = start_error(&Command::new("cat").working_dir("/no/such/directory"));
    assert!(
        matches!(error, SpawnError::WorkingDirectory { .. }),
        "{error:?}"
    );
    let error = start_error(&Command::new("cat").working_dir("/dev/null"));
    assert!(
        matches!(error, SpawnError::WorkingDirectory { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_program_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let command = script(directory.path(), "data");
    fs::set_permissions(
        directory.path().join("server"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let error = start_error(&command);
    assert!(
        matches!(error, SpawnError::NotExecutable { .. }),
        "{error:?}"
    );

    let command = script(directory.path(), "\u{1}\u{2}\u{3}");
    let error = start_error(&command);
    assert!(
        matches!(error, SpawnError::NotExecutable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn nonsense_is_an_error() {
    let error = start_error(&Command::new("cat").args(["nul\0"]));
    assert!(matches!(error, SpawnError::Io(_)), "{error:?}");
    let mut ids = Vec::new();
    eventually("a child after an error", || {
        spawn(&Command::new("cat"), &limits()).is_ok_and(|child| {
            ids.push(id(&child));
            true
        })
    })
    .await;
}

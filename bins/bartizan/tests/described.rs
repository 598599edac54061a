//! What the program says of its own command line: completions and manual pages. And its other
//! name.

mod common;

use std::{os::unix::fs::symlink, process::Stdio};

use common::Bartizan;
use tempfile::TempDir;
use tokio::process::Command;

async fn said(arguments: &[&str]) -> String {
    let finished = Bartizan::new(arguments).run().await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stderr, "");
    finished.stdout
}

#[tokio::test]
async fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(&["completions", shell]).await;
        for word in ["deregister", "--health-interval", "completions", "cleanup"] {
            // fish writes long options without their dashes.
            assert!(
                script.contains(word.trim_start_matches('-')),
                "{shell}: {word}"
            );
        }
        assert!(!script.contains("detached"), "{shell}");
    }
    let finished = Bartizan::new(&["completions", "tcsh"]).run().await;
    assert_eq!(finished.status.code(), Some(2));
}

#[tokio::test]
async fn bash_completes_what_is_documented() {
    let directory = TempDir::new().unwrap();
    let script = directory.path().join("bartizan.bash");
    std::fs::write(&script, said(&["completions", "bash"]).await).unwrap();
    let bash = async |arguments: &[&str]| {
        let output = Command::new("bash").args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    bash(&["-n", script.to_str().unwrap()]).await;
    let complete = r#"source "$0"; COMP_WORDS=(bartizan gateway d); COMP_CWORD=2
        _bartizan bartizan d gateway; echo "${COMPREPLY[@]}""#;
    let completed = bash(&["-c", complete, script.to_str().unwrap()]).await;
    assert_eq!(completed.trim(), "deregister");
}

#[tokio::test]
async fn the_manual_page_says_what_the_help_says() {
    let page = said(&["man"]).await;
    assert!(page.contains(".TH bartizan 1"), "{page}");
    for section in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH SUBCOMMANDS"] {
        assert!(page.contains(section), "no {section} in {page}");
    }
    assert!(page.contains("bartizan\\-gateway(1)"), "{page}");
    is_roff(&page);
}

#[tokio::test]
async fn each_command_has_a_page() {
    let directory = TempDir::new().unwrap();
    let pages = directory.path().join("man1");
    let path = pages.to_str().unwrap();
    assert_eq!(said(&["man", "--dir", path]).await, "");
    let names = [
        "bartizan",
        "bartizan-serve",
        "bartizan-gateway",
        "bartizan-gateway-start",
        "bartizan-gateway-cleanup",
        "bartizan-completions",
    ];
    for name in names {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        is_roff(&page);
    }
    let start = std::fs::read_to_string(pages.join("bartizan-gateway-start.1")).unwrap();
    assert!(start.contains("\\-\\-health\\-interval"), "{start}");
    assert!(!start.contains("detached"), "{start}");
    // groff is not everywhere; where it is, it has nothing to complain of.
    for name in names {
        let page = pages.join(format!("{name}.1"));
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(page);
        if let Ok(output) = groff.stdin(Stdio::null()).output().await {
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && complaint.is_empty(),
                "{complaint}"
            );
        }
    }
}

/// Every line is text or a request that pages may use, and every font that is begun is ended.
fn is_roff(page: &str) {
    const REQUESTS: [&str; 12] = [
        ".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".br", ".ie", ".el", ".IP", ".nf",
    ];
    for line in page.lines() {
        let request = line.split(' ').next().unwrap_or_default();
        let is_text = !line.starts_with(['.', '\'']);
        assert!(is_text || REQUESTS.contains(&request), "{line}");
        let begun = line.matches("\\fB").count() + line.matches("\\fI").count();
        assert_eq!(begun, line.matches("\\fR").count(), "{line}");
    }
}

#[tokio::test]
async fn by_its_other_name_it_does_the_same() {
    let directory = TempDir::new().unwrap();
    let mcpp = directory.path().join("mcpp");
    symlink(env!("CARGO_BIN_EXE_bartizan"), &mcpp).unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(&mcpp);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", directory.path());
        let output = command.env("MCP_GATEWAY_PORT", "0").output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = run(&["gateway", "status", "--help"]).await;
    assert!(help.contains("Usage: mcpp gateway status"), "{help}");
    // As the documents have it.
    let command = ["--command", "python server.py", "--working-dir", "/app"];
    let register = [&["gateway", "register", "mytemplate"][..], &command].concat();
    let said = run(&register).await;
    assert!(
        said.starts_with("registered instance mytemplate-"),
        "{said}"
    );
    assert!(directory.path().join(".mcp/gateway_registry.json").exists());
    let script = run(&["completions", "bash"]).await;
    assert!(script.contains("complete -F _mcpp"), "{script}");
}

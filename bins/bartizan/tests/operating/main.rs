//! Does what `docs/operating.md` says, and compares what comes of it with what it shows.
//!
//! In the guide, a `console` block holds commands, each after `$ `, and what they print. Commands
//! run one after the other in one directory, with a backend at the port that the guide calls 8081.
//!
//! * `$ export A=B` holds until the next heading of the second level.
//! * `$ bartizan`, maybe after variables, starts a gateway in the place of the one before; what
//!   it prints are its log lines. A line `^C` interrupts it.
//! * A block of which the first line says `file=NAME` is written to that file.
//! * A line `…` stands for any lines. Dates, ids, durations and ports may be others than shown.
//!
//! Needs `sh`, `curl`, `grep` and `openssl`, and fails where one is missing.

mod guide;
mod session;

use std::{collections::BTreeMap, fs};

use bartizan_testkit::{Recorded, Reply, Upstream};
use tempfile::TempDir;

use crate::session::{Session, bartizan};

const GUIDE: &str = include_str!("../../../../docs/operating.md");
const DOCKERFILE: &str = include_str!("../../../../docs/deploy/Dockerfile");
const MANIFEST: &str = include_str!("../../../../docs/deploy/kubernetes.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_shows_what_happens() {
    let backend = Upstream::start_with(users).await;
    let mut session = Session::new(backend.address().port());
    let blocks = guide::blocks(GUIDE);
    assert!(blocks.iter().any(|block| block.file.is_some()));
    let mut steps = 0;
    for block in blocks {
        if block.opens_section {
            session.exported.clear();
        }
        if let Some(file) = block.file {
            let text = session.here(&block.lines.join("\n"));
            fs::write(session.directory().join(file), text + "\n").unwrap();
        }
        for step in block.steps() {
            session.follow(&step);
            steps += 1;
        }
    }
    assert!(steps > 40, "only {steps} steps were found");
}

#[test]
fn every_variable_in_the_guide_exists() {
    let known = variables();
    for (name, text) in [
        ("operating.md", GUIDE),
        ("Dockerfile", DOCKERFILE),
        ("kubernetes.yaml", MANIFEST),
    ] {
        let mentioned = mentioned(text);
        assert!(!mentioned.is_empty());
        for variable in mentioned {
            assert!(is_known(variable, &known), "{name}: {variable}");
        }
    }
}

#[test]
fn the_manifest_configures_a_sound_gateway() {
    let directory = TempDir::new().unwrap();
    let values = MANIFEST.lines().zip(MANIFEST.lines().skip(1));
    let variables: BTreeMap<_, _> = values
        .filter_map(|(name, value)| {
            let name = name.trim().strip_prefix("- name: MCP_")?;
            let value = value.trim().strip_prefix("value: ")?;
            Some((format!("MCP_{name}"), value.trim_matches('"').to_owned()))
        })
        .collect();
    assert!(variables.len() > 5);
    let mut check = bartizan(directory.path());
    check.arg("check");
    for (name, value) in variables {
        let value = match value.strip_prefix("/etc/bartizan/secrets/") {
            Some(file) => {
                let path = directory.path().join(file);
                fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
                path.display().to_string()
            }
            None => value,
        };
        check.env(name, value);
    }
    let output = check.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.starts_with("configuration is sound (production)\n"));
    assert!(said.contains("listens on http://0.0.0.0:8080, callers show"));
    assert!(!said.contains("warning"), "{said}");
}

/// The service of the guide.
fn users(request: &Recorded) -> Reply {
    let first = request.header("x-retry-attempt").is_none();
    match request.uri.path() {
        "/api/getUser" => Reply::json(r#"{"userId":"123","name":"Ada"}"#),
        "/api/getReport" if first => Reply::status(503),
        "/api/getReport" => Reply::json("{}"),
        "/api/slowReport" => Reply::hang(),
        "/api/outage" => Reply::status(503),
        _ => Reply::json(r#"{"error":"no such operation"}"#).with_status(404),
    }
}

/// The variables that the gateway knows, those of secrets also with `_FILE`.
fn variables() -> Vec<String> {
    let directory = TempDir::new().unwrap();
    let output = bartizan(directory.path())
        .arg("reference")
        .output()
        .unwrap();
    let reference = String::from_utf8(output.stdout).unwrap();
    let mut known = Vec::new();
    for row in reference.lines().filter(|line| line.starts_with("| `")) {
        let name = row.split('`').nth(1).unwrap();
        known.push(name.to_owned());
        if row.contains("or `..._FILE`") {
            known.push(format!("{name}_FILE"));
        }
    }
    assert!(known.len() > 60, "{} variables", known.len());
    known
}

/// The names in `text` that look like variables of the gateway.
fn mentioned(text: &str) -> Vec<&str> {
    /// A code of the API, what the original never read, and a misspelling.
    const OTHERS: [&str; 4] = [
        "MCP_ERROR",
        "MCP_RATE_LIMIT",
        "MCP_LOG_LEVEL",
        "MCP_SERVICE_USERS_TIMEOT",
    ];

    let in_name = |c: char| c.is_ascii_uppercase() || "_<>".contains(c);
    text.split(|c| !in_name(c))
        .filter(|word| word.starts_with("MCP_") && !OTHERS.contains(word))
        .collect()
}

fn is_known(name: &str, known: &[String]) -> bool {
    known.iter().any(|known| match known.split_once("<NAME>") {
        // Any service's: the guide writes `<NAME>`, or that of an example.
        Some((prefix, setting)) => {
            name.starts_with(prefix) && (name.ends_with(setting) || name.ends_with('_'))
        }
        None => name == known || name.ends_with('_') && known.starts_with(name),
    })
}

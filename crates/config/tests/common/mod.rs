//! What the tests share: a sound environment and ways to spoil it.
#![allow(dead_code, reason = "each test uses a part of it")]

use bartizan_config::{Configuration, Errors, Severity, Source};

/// A sound environment with one service, `user-service`.
pub(crate) const SOUND: [(&str, &str); 4] = [
    ("MCP_SERVICES", "user-service"),
    ("MCP_SERVICE_USER_SERVICE_ENDPOINT", "http://localhost:8081"),
    ("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "bearer"),
    ("MCP_SERVICE_USER_SERVICE_TOKEN", "s3cr3t-token"),
];

/// The sound environment with these variables set or replaced.
pub(crate) fn with(changes: &[(&str, &str)]) -> Result<Configuration, Errors> {
    Configuration::parse(&Source::from_iter(
        SOUND.into_iter().chain(changes.iter().copied()),
    ))
}

/// The lines of what is wrong with the sound environment so changed.
pub(crate) fn problems(changes: &[(&str, &str)]) -> Vec<String> {
    match with(changes) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

/// The warnings about the sound environment so changed.
pub(crate) fn warnings(changes: &[(&str, &str)]) -> Vec<String> {
    texts(changes, Severity::Warning)
}

/// The notes about the sound environment so changed.
pub(crate) fn notes(changes: &[(&str, &str)]) -> Vec<String> {
    texts(changes, Severity::Note)
}

fn texts(changes: &[(&str, &str)], severity: Severity) -> Vec<String> {
    let configuration = with(changes).unwrap_or_else(|errors| panic!("{errors}"));
    let of_it = configuration
        .warnings
        .iter()
        .filter(|it| it.severity() == severity);
    of_it.map(ToString::to_string).collect()
}

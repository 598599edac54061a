//! Several sources, of which more than one is wrong.

use std::fs;

use bartizan_config::{Configuration, Source};
use tempfile::TempDir;

/// What is wrong with the environment and these files, wherever they are.
fn problems(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<String> {
    let directory = TempDir::new().unwrap();
    let place = |name: &str| directory.path().join(name);
    for (name, text) in files {
        fs::write(place(name), text).unwrap();
    }
    let source = Source::from_iter(variables.iter().copied())
        .with_file_if_present(place(".env"))
        .with_config_file_if_present(place("bartizan.yaml"));
    let servers = [place("1.json"), place("2.json")].into_iter();
    let servers = servers.filter(|it| it.is_file());
    let source = servers.fold(source, Source::with_mcp_config);
    let Err(errors) = Configuration::parse(&source) else {
        return Vec::new();
    };
    let directory = format!("{}/", directory.path().display());
    let problems = errors.problems().iter();
    problems
        .map(|it| it.to_string().replace(&directory, ""))
        .collect()
}

#[test]
fn what_is_wrong_with_one_source_hides_nothing_of_the_others() {
    let variables = [
        ("MCP_GATEWAY_PORT", "eighty"),
        ("MCP_SERVICES", "b"),
        ("MCP_SERVICE_B_TIMEOUT", "soon"),
    ];
    let found = problems(
        &variables,
        &[
            (
                ".env",
                "nonsense\nMCP_RETRY_MAX_ATTEMPTS=many\nA='never closed\n",
            ),
            (
                "bartizan.yaml",
                "gateway:\n  prot: 1\n  log_level: verbose\nservices: {a: {timeout: later}}\n",
            ),
            ("1.json", "{\"mcpServers\": {\"c\": {\"comand\": \"x\"}}}"),
            ("2.json", "{\"mcpServers\": "),
        ],
    );
    for (index, expected) in [
        ".env, line 1, column 1: expected NAME=value",
        ".env, line 3, column 3: the quote is never closed",
        "gateway.prot (bartizan.yaml, line 2, column 3) is no key that is known",
        "c (1.json, line 1, column 17) ",
        "2.json, line 1, column ",
        "(gateway.log_level is \"verbose\" in bartizan.yaml, line 3, column 3)",
        "(MCP_GATEWAY_PORT is \"eighty\")",
        "(MCP_RETRY_MAX_ATTEMPTS is \"many\" in .env, line 2)",
        "(MCP_SERVICE_B_TIMEOUT is \"soon\")",
        "(services.a.timeout is \"later\" in bartizan.yaml, line 4, column 16)",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            found.get(index).is_some_and(|it| it.contains(expected)),
            "{index} {expected}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn what_may_be_in_a_file_that_is_not_understood_is_not_missed() {
    let env = (".env", "MCP_SERVICES=a\nMCP_SERVICE A_ENDPOINT=http://a\n");
    let only = [".env, line 2, column 1: expected NAME=value"];
    assert_eq!(problems(&[], &[env]), only);
    // Nor what a file names that may be set there, nor a key that is a placeholder in production.
    let variables = [
        ("MCP_SERVICE_A_AUTH_TYPE", "bearer"),
        ("MCP_SERVICE_A_TOKEN", "changeme"),
    ];
    let native = (
        "bartizan.yaml",
        "services: {b: {endpoint: '${B}', auth: {type: none}}}\n",
    );
    assert_eq!(problems(&variables, &[env, native]), only);
    let found = problems(&[], &[native]);
    assert!(
        found[0].contains("names the variable B, which is not set"),
        "{found:?}"
    );
}

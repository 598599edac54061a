use bartizan_config::{Source, variables};

use crate::{directory, source};

/// A file that says `value` under `key`, one level of mappings a word.
fn text(key: &str, value: &str) -> String {
    let mut text = String::new();
    let words: Vec<_> = key.split('.').collect();
    for (depth, word) in words.iter().enumerate() {
        let word = word.replace("<name>", "my-x");
        let value = if depth + 1 == words.len() { value } else { "" };
        text.push_str(&format!("{}{word}: {value}\n", "  ".repeat(depth)));
    }
    text
}

/// Whether a file that says so sets this variable.
fn sets(key: &str, value: &str, variable: &str) -> bool {
    let directory = directory(text(key, value));
    let source = source(&directory, &[]);
    assert!(is_understood(&source), "{key}: {source:?}");
    // Its `Debug` form has the names of its variables.
    format!("{source:?}").contains(&format!("\"{variable}\": Entry"))
}

/// Whether nothing is wrong with the file, whatever its values are.
fn is_understood(source: &Source) -> bool {
    format!("{source:?}").contains(" problems: [],")
}

#[test]
fn every_variable_is_reachable_by_its_key() {
    for variable in variables() {
        let key = variable.key();
        let name = variable.name().replace("<NAME>", "MY_X");
        let (name, value) = match &*name {
            "MCP_SERVICES" => {
                let directory = directory("services: {my-x: {command: a}}");
                let source = source(&directory, &[]);
                assert!(format!("{source:?}").contains("MY_X_COMMAND"));
                continue;
            }
            // One setting with two variables: the environment wins by either.
            "HOST" => ("MCP_GATEWAY_HOST".to_owned(), "127.0.0.1"),
            "MCP_GATEWAY_PORT" => ("PORT".to_owned(), "1"),
            name if name.ends_with("<VARIABLE>") => (name.replace("<VARIABLE>", "A"), "{A: b}"),
            name if name.ends_with("<HEADER>") => (name.replace("<HEADER>", "X-A"), "{X-A: b}"),
            name => (name.to_owned(), variable.default().unwrap_or("1")),
        };
        let value = if value.starts_with('{') {
            value.to_owned()
        } else {
            format!("'{value}'")
        };
        assert!(sets(&key, &value, &name), "{key} does not set {name}");
        if value.starts_with('\'') {
            let (root, rest) = if variable.name().contains("<NAME>") {
                (
                    "services.<name>",
                    key.strip_prefix("services.<name>.").unwrap(),
                )
            } else {
                ("gateway", key.strip_prefix("gateway.").unwrap())
            };
            let flat = format!("{root}.{}", rest.replace('.', "_"));
            // What stands in a chapter need not begin with its name.
            let bare = format!("{root}.{}", rest.split_once('.').map_or(rest, |it| it.1));
            let directory = directory(text(&flat, &value));
            assert!(
                is_understood(&source(&directory, &[])) || sets(&bare, &value, &name),
                "{flat}"
            );
        }
        if variable.is_secret() {
            let name = format!("{name}_FILE");
            assert!(sets(&format!("{key}_file"), "secret", &name), "{key}_file");
        }
    }
}

#[test]
fn every_key_is_in_the_reference() {
    let reference = bartizan_config::reference_markdown();
    for variable in variables() {
        let key = variable.key();
        assert!(reference.contains(&format!("<br>`{key}` |")), "{key}");
    }
}

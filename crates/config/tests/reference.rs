//! The committed reference is the one that the table of variables makes.

use std::{fs, path::Path};

use bartizan_config::{reference_markdown, variables};

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own switch is no configuration"
)]
fn the_committed_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let reference = reference_markdown();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &reference).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == reference,
        "docs/configuration.md is not what the table of variables makes; write it anew with\n  \
         BLESS=1 cargo test -p bartizan-config --test reference"
    );
}

#[test]
fn every_variable_has_one_row() {
    let reference = reference_markdown();
    for variable in variables() {
        let start = format!("| `{}`", variable.name());
        let rows = reference.lines().filter(|line| {
            line.starts_with(&format!("{start} ")) || line.starts_with(&format!("{start}<"))
        });
        assert_eq!(rows.count(), 1, "{}", variable.name());
    }
    for row in reference.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(row.matches(" | ").count(), 3, "{row}");
    }
}

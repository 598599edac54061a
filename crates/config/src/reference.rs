use std::fmt::Write as _;

use crate::{
    Variable, table,
    variable::{Fallback, Kind, MAX_MILLISECONDS, Section},
};

const INTRODUCTION: &str = "\
<!-- Written from the table of variables in crates/config/src/table.rs; a test compares the two.
     To write it anew: BLESS=1 cargo test -p bartizan-config --test reference -->

# Configuration

The gateway is configured by environment variables. They come from the process environment and
from the file `.env` in the working directory; the process environment wins. Everything that is
wrong is listed at once, and a gateway with a wrong configuration does not start.

* A variable that holds nothing but blanks counts as not set.
* Numbers are plain digits. Durations are whole milliseconds, at most {max_milliseconds}.
* Words such as `round-robin` may be written in capitals and with `_`.
* A secret can come from a file: `..._TOKEN_FILE` names the file that holds `..._TOKEN`, as
  secrets of containers are mounted. Both at once is an error. Placeholders such as
  `your-bearer-token` or `CHANGE_ME` are refused outside development.
* `<NAME>` stands for a service's name in capitals, with `_` for everything that is neither a
  letter nor a digit: `MCP_SERVICE_MY_SERVICE_TIMEOUT` belongs to `my-service`.
* A variable that is misspelt, or has no effect, is warned about.
* In `.env`, values may be bare, or stand in `'...'`, `\"...\"` or `` `...` ``. `$` has no meaning.
";

/// The reference of all variables, in Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut text = INTRODUCTION.replace("{max_milliseconds}", &MAX_MILLISECONDS.to_string());
    for section in Section::ALL {
        let title = section.title();
        let _ = write!(
            text,
            "\n## {title}\n\n| Variable | Value | Default | Meaning |\n|---|---|---|---|\n"
        );
        for variable in table::variables() {
            if variable.section == section {
                row(&mut text, variable);
            }
        }
    }
    text
}

fn row(text: &mut String, variable: &Variable) {
    let name = variable.name;
    let twin = if variable.is_secret() {
        "<br>or `..._FILE`"
    } else {
        ""
    };
    let default = match variable.fallback {
        Fallback::Value(value, why) => format!("`{value}`: {why}"),
        Fallback::Inherit(parent) => format!("that of `{parent}`"),
        Fallback::Unset(meaning) => format!("not set: {meaning}"),
        Fallback::Required => "required".to_owned(),
    };
    let _ = writeln!(
        text,
        "| `{name}`{twin} | {} | {default} | {} |",
        value(variable.kind),
        variable.description
    );
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Text(what) => what.to_owned(),
        Kind::Url => "an `http` or `https` URL".to_owned(),
        Kind::Address => "an IP address, or `localhost`".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Milliseconds { zero: true } => "milliseconds".to_owned(),
        Kind::Milliseconds { zero: false } => "milliseconds, above 0".to_owned(),
        Kind::Number { min, max, unit } => {
            let unit = if unit.is_empty() { "a number" } else { unit };
            if max == u64::from(u32::MAX) {
                format!("{unit}, at least {min}")
            } else {
                format!("{unit}, from {min} to {max}")
            }
        }
        Kind::Ratio => "a decimal number above 0, at most 1".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::List(what) => format!("{what}, separated by commas"),
        Kind::Path => "a file".to_owned(),
        Kind::Secret => "a secret".to_owned(),
        Kind::SecretList => "secrets, separated by commas".to_owned(),
        Kind::Hidden(what) => format!("{what}, kept secret"),
    }
}

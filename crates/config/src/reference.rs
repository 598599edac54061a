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
* Numbers are plain digits. Durations are whole milliseconds, at most {max_milliseconds}; those of
  registries are whole seconds, as they are documented.
* Words such as `round-robin` may be written in capitals and with `_`.
* A secret can come from a file: `..._TOKEN_FILE` names the file that holds `..._TOKEN`, as
  secrets of containers are mounted. Both at once is an error. Placeholders such as
  `your-bearer-token` or `CHANGE_ME` are refused outside development.
* `<NAME>` stands for a service's name in capitals, with `_` for everything that is neither a
  letter nor a digit: `MCP_SERVICE_MY_SERVICE_TIMEOUT` belongs to `my-service`.
* A variable that is misspelt, or has no effect, is warned about.
* MCP servers can also come from the file that a desktop client or an editor has: see the end.
* In `.env`, values may be bare, or stand in `'...'`, `\"...\"` or `` `...` ``. `$` has no meaning.
";

const SERVERS: &str = "
## Files of MCP servers

`bartizan serve --mcp-config .mcp.json` adds the servers of a file to the services, so that
`MCP_SERVICES` may be empty. The option may be repeated. Understood are the `mcpServers` of Claude
Desktop, Claude Code and Cursor, and the `servers` of VS Code, with comments and trailing commas.

* `command`, `args`, `env` and `cwd` are `_COMMAND`, `_ARGS`, `_ENV_*` and `_WORKING_DIR` of the
  service; `envFile` names a file of more variables, in the syntax of `.env`, below those of `env`.
* `url` and `headers` are `_ENDPOINT` and `_HEADER_*`; `Authorization: Bearer ...` becomes the
  bearer token.
* `type` or `transport` is `stdio`, `http`, `streamable-http` or `sse`; without it a `url` is
  Streamable HTTP.
* A server that is `disabled` is passed over.
* The name of a server is the name of the service. Its variables, such as
  `MCP_SERVICE_<NAME>_TIMEOUT` or `MCP_SERVICE_<NAME>_ENV_GITHUB_TOKEN`, win over the file.
* `${env:NAME}`, `${NAME}` and `${NAME:-default}` stand for variables of the gateway's environment
  or of `.env`, `${workspaceFolder}` for the directory of the file, or the one above
  if that is `.vscode`, `.cursor` or `.claude`, and `${userHome}` for the home directory. What an
  editor would ask its user for, `${input:name}`, has to be replaced.
* A member that is not understood is warned about, and so is a header that the gateway itself
  writes. `cwd` and `envFile` are relative to `${workspaceFolder}`.
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
    text.push_str(SERVERS);
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
        Kind::Seconds => "seconds, above 0".to_owned(),
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

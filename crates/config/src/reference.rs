use std::fmt::Write as _;

use crate::{
    Variable, native, table,
    variable::{Fallback, Kind, MAX_MILLISECONDS, Section},
};

const INTRODUCTION: &str = "\
<!-- Written from the table of variables in crates/config/src/table.rs; a test compares the two.
     To write it anew: BLESS=1 cargo test -p bartizan-config --test reference -->

# Configuration

The gateway is configured by environment variables, by a file `bartizan.yaml`, or by both.
Variables come from the process environment and from the file `.env` in the working directory; the
process environment wins over that, and both win over `bartizan.yaml`, which can say all that they
can and more: see below. Everything that is wrong is listed at once, and a gateway with a wrong
configuration does not start. In the tables, the key of `bartizan.yaml` stands below the variable.

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

const NATIVE: &str = "
## bartizan.yaml

A file `bartizan.yaml` in the working directory is read if it is there; `--config FILE` names
another one, which must exist. Settings of the gateway are below `gateway`, and every service is a
member of `services`; there need be no `MCP_SERVICES`. A service that variables name as well is one
service, and so is one of a file of MCP servers: the environment wins over `.env`, that over
`bartizan.yaml`, and that over files of MCP servers.

```yaml
{example}```

* A key may be written in one word or in several, as a mapping stands for what its keys begin with:
  `retry_max_attempts: 3` is `retry: {max_attempts: 3}`. Below `auth`, `health` and `mcp`, all keys
  of their chapters can stand. What is said twice is wrong.
* `..._file` beside a secret names the file that holds it, as for variables: `auth.token_file`.
* A number without a unit is what the variable would hold: mostly milliseconds. Durations may have
  a unit, `ms`, `s`, `m`, `h` or `d`; sizes `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`.
* What a variable separates by commas may be a list, and `args` and `authorize_command` as well.
  `endpoint` is a URL, or a list of URLs and of mappings with `url` and `weight`; it may be called
  `endpoints`. `env` and `headers` are mappings of names to texts.
* `kind` is `rest` or `mcp`, for those who do not want to name a transport.
* `registries` lists the paths of a `registry.yaml` and a `registry.json`, told apart by how they
  end.
* Relative paths are relative to the file.
* `${NAME}`, `${NAME:-default}` and `${env:NAME}` stand for variables of the gateway's environment
  or of `.env`, in all texts but those of tools and metadata of services. Within `{...}` of YAML such
  a text needs quotes.
* A key without a value is not set. A key that is not known, or is there twice, is wrong, and the
  message says which was probably meant. Keys at the root that begin with `x-` are passed over:
  there, what is used several times can be anchored. The file has at most 1 MiB.

A service with `instances` is served as one of a registry is: no authentication, no rate limit and
the timeouts of registries, unless its keys or variables say otherwise. Its operations are below
`/api/` like those of all services, unless `path_prefix` says otherwise. It speaks MCP if `kind` or
`transport` says so, or if an instance has a `transport` or a `command`; else it is plain HTTP.
Besides the keys in the tables it may have `load_balancer`, `tools`, `description` and `metadata`.

* An instance has a `url`, or a `command` that starts it: a list of texts, or a text that is split at
  blanks, or a program with `args` beside it. It may have `id` (a program must), `weight`,
  `transport` (`http`, `sse`, `stdio`), `health_url`, `working_dir`, `env`, `metadata`, and `tools`
  in place of those of its service. Fields of a `registry.json` are understood, too.
* A tool has a `name`, and may have `description`, `inputSchema` and whatever else.
* `load_balancer` has `strategy`, `health_check_interval`, `max_retries`, `pool_size` and `timeout`,
  whose numbers without a unit are seconds, as in a `registry.json`.

The instances change when the configuration is read again, together with everything else in the
file.
";

const SERVERS: &str = "
## Files of MCP servers

`bartizan serve --mcp-config .mcp.json` adds the servers of a file to the services, so that
`MCP_SERVICES` may be empty. The option may be repeated. Understood are the `mcpServers` of Claude
Desktop, Claude Code and Cursor, and the `servers` of VS Code, with comments and trailing commas.

* `command`, `args`, `env` and `cwd` are `_COMMAND`, `_ARGS`, `_ENV_*` and `_WORKING_DIR` of the
  service; `envFile` names a file of more variables, in the syntax of `.env`, below those of `env`.
* `url` and `headers` are `_ENDPOINT`, with `_QUERY` for what stands behind a `?`, and
  `_HEADER_*`; `Authorization: Bearer ...` becomes the bearer token.
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
    text.push_str(&NATIVE.replace("{example}", native::EXAMPLE));
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
        "| `{name}`{twin}<br>`{}` | {} | {default} | {} |",
        variable.key(),
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

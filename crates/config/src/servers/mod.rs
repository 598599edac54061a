//! Files of MCP servers, as desktop clients and editors have them.
//!
//! The `mcpServers` of Claude Desktop, Claude Code and Cursor and the `servers` of VS Code become
//! variables of services, below those of the environment: what reads a service need not know
//! where it was described.

mod file;
mod headers;
mod places;
mod server;

use std::path::Path;

use jsonc_parser::{ParseOptions, ast::Value, parse_to_ast};

pub(crate) use self::file::Servers;
use self::{file::File, server::read_server};
use crate::{Severity, Source, Warning};

/// The servers of the file at `path` that holds this text, and everything that is wrong with it.
///
/// `source` is what the environment says: it is asked for the variables that the file names, and
/// what it sets already is not read.
pub(crate) fn read(text: &str, path: &Path, source: &Source) -> Servers {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut file = File::new(text, path, source);
    // What VS Code reads: JSON with comments and trailing commas, and nothing else of JSON5.
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = match parse_to_ast(text, &Default::default(), &options) {
        Ok(parsed) => parsed,
        Err(error) => {
            let what = error.kind().to_string();
            let mut what = what.trim_end_matches('.').to_owned();
            if let Some(first) = what.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            let place = file.place(error.range().start);
            file.problem(format!("{place}: {what}"));
            return file.finish();
        }
    };
    let Some(Value::Object(root)) = &parsed.value else {
        let what = format!("{} must hold a JSON object", path.display());
        file.problem(what);
        return file.finish();
    };
    let mut found = false;
    for member in &root.properties {
        match (member.name.as_str(), &member.value) {
            ("mcpServers" | "servers", Value::Object(servers)) => {
                found = true;
                read_all(&mut file, servers);
            }
            (name @ ("mcpServers" | "servers"), _) => {
                let place = file.place(member.range.start);
                file.problem(format!("{place}: {name} must be an object"));
                found = true;
            }
            // The settings of an editor have them one level down.
            ("mcp", Value::Object(settings)) => {
                if let Some(servers) = settings.get_object("servers") {
                    found = true;
                    read_all(&mut file, servers);
                }
            }
            // What only an editor can ask its user for; whoever needs it says so.
            ("inputs" | "$schema" | "mcp", _) => {}
            (name, _) => {
                // A client keeps its other settings in the same file.
                let place = file.place(member.range.start);
                let text = format!("{place}: {name:?} is not about MCP servers; passed over");
                file.warn(Warning::new(Severity::Note, text));
            }
        }
    }
    if !found {
        file.problem(format!(
            "{} holds neither mcpServers nor servers",
            path.display()
        ));
    }
    file.finish()
}

fn read_all(file: &mut File<'_>, servers: &jsonc_parser::ast::Object<'_>) {
    for member in &servers.properties {
        read_server(file, member);
    }
}

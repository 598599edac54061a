use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use bartizan_auth::Secret;

use crate::{
    Origin, Problem, ProgramSettings, Setting, Variable,
    mcp::is_missing_credential,
    reader::{Member, Reader, Scope},
    redact, table,
    value::{Fault, Value},
};

/// The process that is an MCP server.
///
/// Its `Debug` form shows the command and its arguments, without those that look like
/// credentials, and no value of its environment.
#[derive(Clone, PartialEq, Eq)]
pub struct StdioSettings {
    /// The program: a path, or a name to look up in `PATH`.
    pub command: Setting<String>,
    /// Its arguments.
    pub args: Setting<Vec<String>>,
    /// The variables of its environment that were configured; each name once, none empty, none
    /// with `=`.
    pub env: Vec<(String, Setting<Secret>)>,
    /// The variables that it has of this process's environment, from an allow-list of harmless
    /// ones; those of `env` win.
    pub inherited: Vec<(OsString, OsString)>,
    /// The directory that it is started in; that of this process without.
    pub working_dir: Option<Setting<PathBuf>>,
    /// How long it is kept when nobody talks to it.
    pub idle_timeout: Setting<Duration>,
    /// How long it lives at most.
    pub max_lifetime: Setting<Duration>,
}

impl StdioSettings {
    /// Reads the process; `None` if something is wrong that has no default.
    pub(crate) fn read(reader: &mut Reader<'_>, scope: &Scope) -> Option<Self> {
        let command = reader.required(scope, &table::COMMAND, table::COMMAND.rule);
        let args: Option<Setting<Arguments>> = reader.optional(scope, &table::ARGS);
        let program = ProgramSettings::read(reader, scope);
        let settings = Self {
            command: command?,
            args: args.map_or_else(
                || Setting::new(Vec::new(), Origin::Default("none")),
                |args| args.map(|Arguments(all)| all),
            ),
            env: program.env,
            inherited: program.inherited,
            working_dir: program.working_dir,
            idle_timeout: program.idle_timeout,
            max_lifetime: program.max_lifetime,
        };
        settings.check(reader, scope);
        settings.check_command(reader, scope);
        Some(settings)
    }

    /// Says where arguments belong that were written behind the command.
    fn check_command(&self, reader: &mut Reader<'_>, scope: &Scope) {
        let command = self.command.as_str();
        if !command.contains(char::is_whitespace) || self.is_there(command) {
            return;
        }
        let origin = self.command.origin();
        let args = if origin.is_structured() {
            "args".to_owned()
        } else {
            scope.name(&table::ARGS)
        };
        // Arguments may hold credentials.
        let place = reader.place(&scope.name(&table::COMMAND));
        reader.warn(scope.message(&format!(
            "the command holds blanks and is no file: its arguments belong into {args} ({place})"
        )));
    }

    /// Whether there is a file of this name where the command is looked for.
    fn is_there(&self, command: &str) -> bool {
        let path = Path::new(command);
        let working_dir = self.working_dir.iter().map(|it| it.value().clone());
        let mut places: Vec<_> = working_dir.chain([PathBuf::new()]).collect();
        if path.components().count() == 1 {
            let mut inherited = self.inherited.iter();
            let search = inherited.find(|(name, _)| name.eq_ignore_ascii_case("PATH"));
            places.extend(search.iter().flat_map(|(_, it)| std::env::split_paths(it)));
        }
        places.iter().any(|place| place.join(path).is_file())
    }

    /// No operating system takes a zero byte in any of these.
    fn check(&self, reader: &mut Reader<'_>, scope: &Scope) {
        if self.command.contains('\0') {
            let words = "command must not hold a zero byte";
            reader.wrong_value(scope, &table::COMMAND, words);
        }
        if self.args.iter().any(|argument| argument.contains('\0')) {
            let words = "arguments must not hold a zero byte";
            let place = reader.place(&scope.name(&table::ARGS));
            reader.problem(Problem::new(scope.message(words)).detail(place));
        }
    }

    /// The command and its arguments as one line for people, without what looks like a
    /// credential.
    pub(crate) fn line(&self) -> String {
        let mut line = redact::line(std::slice::from_ref(self.command.value()));
        if !self.args.is_empty() {
            line.push(' ');
            line.push_str(&redact::line(&self.args));
        }
        line
    }
}

impl fmt::Debug for StdioSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioSettings")
            .field("line", &self.line())
            .field("env", &self.env)
            .field("inherited", &self.inherited)
            .field("working_dir", &self.working_dir)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_lifetime", &self.max_lifetime)
            .finish()
    }
}

pub(crate) fn environment(
    reader: &mut Reader<'_>,
    scope: &Scope,
) -> Vec<(String, Setting<Secret>)> {
    let mut environment = Vec::new();
    for Member { suffix, text } in reader.family(scope, &table::SERVICE_ENV) {
        // A structured file that says "" means it; an orchestrator that passes variables on sets
        // blanks where there is nothing to pass on.
        if !text.origin().is_structured() && text.expose().trim().is_empty() {
            continue;
        }
        let wrong = if suffix.is_empty() || suffix.contains(['=', '\0']) {
            Some("no variable can have this name".to_owned())
        } else if text.expose().contains('\0') {
            Some(format!("variable {suffix} must not hold a zero byte"))
        } else if reader.refuses_placeholder(text.expose())
            && is_missing_credential(&suffix, text.expose())
        {
            Some(format!("variable {suffix} is a placeholder"))
        } else {
            None
        };
        if let Some(words) = wrong {
            let place = Member { suffix, text }.place();
            let problem = Problem::new(scope.message(&words));
            reader.problem(problem.detail(place));
        } else {
            environment.push((suffix, text));
        }
    }
    environment
}

/// The names of this process's variables that a child gets: what programs need to find
/// themselves, their user and their language, and nothing that may hold a credential.
pub(crate) fn is_inherited(name: &str) -> bool {
    const NAMES: [&str; 17] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TERM",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        // Without these, hardly a program of Windows starts.
        "APPDATA",
        "COMSPEC",
        "LOCALAPPDATA",
        "PATHEXT",
        "SYSTEMROOT",
        "TEMP",
        "USERPROFILE",
    ];

    // Windows writes `Path` and takes it for the same.
    let is = |known: &str| known == name || (cfg!(windows) && known.eq_ignore_ascii_case(name));
    NAMES.iter().any(|known| is(known)) || name.starts_with("LC_")
}

/// The text of `MCP_SERVICE_<NAME>_ARGS`.
struct Arguments(Vec<String>);

impl Value for Arguments {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        // Arguments may hold credentials.
        let must = |what: &str| Fault::Unquotable(what.to_owned());
        if text.starts_with('[') {
            let words = serde_json::from_str(text);
            words.map_err(|_| must("be a JSON array of strings where it begins with ["))
        } else {
            shell_words::split(text).map_err(|_| must("close every quote"))
        }
        .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Result<Vec<String>, Fault> {
        Arguments::parse(&table::ARGS, text).map(|Arguments(all)| all)
    }

    #[test]
    fn arguments_are_shell_words_or_json() {
        for (text, expected) in [
            ("-y server-memory", &["-y", "server-memory"][..]),
            (
                r#"a 'b c' "d \" e" f\ g ''"#,
                &["a", "b c", "d \" e", "f g", ""],
            ),
            ("$HOME ~ *", &["$HOME", "~", "*"]),
            (r#"["a b", "", "\u00e9"]"#, &["a b", "", "é"]),
            ("[]", &[]),
        ] {
            assert_eq!(arguments(text).unwrap(), expected, "{text}");
        }
        for text in ["'a", "[1]", "[\"a\"", "[a]"] {
            assert!(
                matches!(arguments(text), Err(Fault::Unquotable(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_child_inherits_what_is_harmless() {
        for name in ["PATH", "HOME", "LC_ALL", "LC_PAPER", "TZ"] {
            assert!(is_inherited(name), "{name}");
        }
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "MCP_GATEWAY_API_KEYS",
            "LD_PRELOAD",
            "NODE_OPTIONS",
        ] {
            assert!(!is_inherited(name), "{name}");
        }
    }
}

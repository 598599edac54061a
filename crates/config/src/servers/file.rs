use std::path::Path;

use bartizan_auth::Secret;

use super::places::Places;
use crate::{
    Origin, Problem, Severity, Source, Warning,
    expand::{Context, expand},
    reader::Scope,
};

/// What was read of a file.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) servers: Vec<Server>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) problems: Vec<Problem>,
}

/// One server: a service to be.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) origin: Origin,
    /// Variables by their full name.
    pub(crate) variables: Vec<(String, Secret, Origin)>,
}

/// A file as it is read: knows places, expands texts, and collects what is wrong.
pub(super) struct File<'a> {
    places: Places<'a>,
    path: &'a Path,
    source: &'a Source,
    context: Context,
    servers: Vec<Server>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl<'a> File<'a> {
    pub(super) fn new(text: &'a str, path: &'a Path, source: &'a Source) -> Self {
        Self {
            places: Places::new(text),
            path,
            source,
            context: Context::new(path, source),
            servers: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Servers {
        Servers {
            servers: self.servers,
            warnings: self.warnings,
            problems: self.problems,
        }
    }

    pub(super) fn push(&mut self, server: Server) {
        self.servers.push(server);
    }

    pub(super) fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::new(text));
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// A problem with the member at `origin`.
    pub(super) fn wrong(&mut self, origin: &Origin, what: &str) {
        self.problem(format!("{origin} {what}"));
    }

    /// A warning about the member at `origin`.
    pub(super) fn doubt(&mut self, origin: &Origin, what: &str) {
        let text = format!("{origin} {what}");
        self.warn(Warning::new(Severity::Warning, text));
    }

    /// A warning about a member that means nothing, and the one that was meant, if any is close.
    pub(super) fn unknown(&mut self, origin: &Origin, meant: Option<&str>) {
        let text = match meant {
            Some(meant) => format!("{origin} is not understood, did you mean {meant}?"),
            None => format!("{origin} is not understood; passed over"),
        };
        self.warn(Warning::that_explains(text));
    }

    /// A note about the member at `origin`.
    pub(super) fn note(&mut self, origin: &Origin, what: &str) {
        let text = format!("{origin} {what}");
        self.warn(Warning::new(Severity::Note, text));
    }

    /// A byte of the text, for people.
    pub(super) fn place(&self, byte: usize) -> String {
        let (line, column) = self.places.of(byte);
        format!("{}, line {line}, column {column}", self.path.display())
    }

    pub(super) fn origin(&self, member: String, byte: usize) -> Origin {
        let (line, column) = self.places.of(byte);
        Origin::McpServers {
            member,
            path: self.path.to_owned(),
            line,
            column,
        }
    }

    /// The directory that the file's relative paths are of.
    pub(super) fn workspace(&self) -> &Path {
        &self.context.workspace
    }

    /// Whether the environment sets this variable of the service.
    pub(super) fn is_set(&self, scope: &Scope, suffix: &str) -> bool {
        self.source.find(&variable(scope, suffix)).is_some()
    }

    /// `text` with what it names in `${...}` put in its place; `None`, and a problem, if there is
    /// something that cannot be. `variable` can be set instead.
    pub(super) fn expand(
        &mut self,
        text: &str,
        origin: &Origin,
        variable: Option<&str>,
    ) -> Option<Secret> {
        let lookup = |name: &str| self.source.lookup(name);
        match expand(text, &self.context, lookup) {
            Ok(text) => Some(text),
            Err(fault) => {
                if !fault.may_be_of_another_file(self.source) {
                    self.wrong(origin, &fault.words(variable));
                }
                None
            }
        }
    }
}

/// The full name of a variable of a service.
pub(super) fn variable(scope: &Scope, suffix: &str) -> String {
    format!("MCP_SERVICE_{}_{suffix}", scope.prefix())
}

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use bartizan_auth::Secret;
use bartizan_document::{Member, Node, Place};

use crate::{
    Origin, Problem, Severity, Source, Variable, Warning,
    expand::{Context, expand},
    gateway::{is_address, is_service_link},
    reader::{Scope, file_twin, quoted},
    table,
};

/// A variable by its full name, its text, and where that stands.
pub(crate) type Said = (String, Secret, Origin);

/// More problems than this are only counted.
const SHOWN: usize = 100;

/// A file as it is read: knows places, expands texts, and collects what is wrong.
pub(super) struct File<'a> {
    path: &'a Path,
    source: &'a Source,
    context: Context,
    variables: Vec<Said>,
    problems: Vec<Problem>,
    /// How many more there are.
    more: usize,
    warnings: Vec<Warning>,
    /// The lines in which variables are set, a secret and the file of one under the same name.
    said: HashMap<String, u32>,
}

impl<'a> File<'a> {
    pub(super) fn new(path: &'a Path, source: &'a Source) -> Self {
        Self {
            path,
            source,
            context: Context::new(path, source),
            variables: Vec::new(),
            problems: Vec::new(),
            more: 0,
            warnings: Vec::new(),
            said: HashMap::new(),
        }
    }

    /// The variables, the warnings, and everything that is wrong.
    pub(super) fn finish(mut self) -> (Vec<Said>, Vec<Warning>, Vec<Problem>) {
        if self.more > 0 {
            let text = format!("{}: and {} more", self.path.display(), self.more);
            self.problems.push(Problem::new(text));
        }
        (self.variables, self.warnings, self.problems)
    }

    /// How many problems there are.
    pub(super) fn problems(&self) -> usize {
        self.problems.len() + self.more
    }

    /// Whether more problems are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= SHOWN
    }

    fn problem(&mut self, text: String) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.problems.push(Problem::new(text));
        }
    }

    /// So many more problems, which are only counted.
    pub(super) fn more(&mut self, more: usize) {
        self.more += more;
    }

    pub(super) fn origin(&self, key: impl Into<String>, place: Place) -> Origin {
        Origin::Native {
            key: key.into(),
            path: self.path.to_owned(),
            line: place.line as usize,
            column: place.column as usize,
        }
    }

    /// A problem with the key at `origin`.
    pub(super) fn wrong(&mut self, origin: &Origin, what: &str) {
        self.problem(format!("{origin} {what}"));
    }

    /// A problem at a place that has no key.
    pub(super) fn wrong_at(&mut self, place: Place, what: &str) {
        self.problem(format!("{}, {place}: {what}", self.path.display()));
    }

    /// A warning about a place.
    pub(super) fn doubt_at(&mut self, place: Place, what: &str) {
        let text = format!("{}, {place}: {what}", self.path.display());
        self.warnings.push(Warning::new(Severity::Warning, text));
    }

    /// The members of a mapping, each once; a problem, and none, if it is no mapping.
    pub(super) fn members<'n, 'd>(
        &mut self,
        node: &'n Node<'d>,
        origin: &Origin,
    ) -> Vec<&'n Member<'d>> {
        let Some(members) = node.members() else {
            self.wrong(origin, "must be a mapping of keys to values");
            return Vec::new();
        };
        let mut seen = HashMap::new();
        let mut once = Vec::with_capacity(members.len());
        for member in members {
            match seen.insert(&*member.key, member.place.line) {
                None => once.push(member),
                Some(line) => {
                    let key = quoted(&member.key);
                    let what = format!("the key {key} is there already, in line {line}");
                    self.wrong_at(member.place, &what);
                }
            }
        }
        once
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

    /// A relative path is one beside the file, wherever the gateway was started.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.context.workspace.join(path)
    }

    /// Whether the environment sets this variable, of which a secret may be in a file.
    pub(super) fn is_set(&self, scope: &Scope, variable: &Variable) -> bool {
        let name = scope.name(variable);
        self.is_named(&name)
            || (variable.is_secret() && self.is_named(&file_twin(&name)))
            || self.is_set_by_twin(variable)
    }

    /// Whether the environment says by another variable what this one says. What others set of
    /// that name is none of ours.
    fn is_set_by_twin(&self, variable: &Variable) -> bool {
        let says = |twin: &Variable, is_ours: fn(&str) -> bool| {
            let entry = self.source.find(twin.name);
            entry.is_some_and(|entry| is_ours(entry.text.expose().trim()))
        };
        match variable.name {
            name if name == table::HOST.name => says(&table::PLAIN_HOST, is_address),
            name if name == table::PORT.name => {
                says(&table::GATEWAY_PORT, |text| !is_service_link(text))
            }
            _ => false,
        }
    }

    /// Whether the environment sets the variable of this full name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.source.find(name).is_some()
    }

    /// Notes that a variable is said here; `false`, and a problem, if it was before. `name` is
    /// that of the secret where the variable names the file of one.
    pub(super) fn say(&mut self, name: &str, origin: &Origin, place: Place) -> bool {
        if let Some(line) = self.said.get(name) {
            let what = format!("says what line {line} says already");
            self.wrong(origin, &what);
            return false;
        }
        self.said.insert(name.to_owned(), place.line);
        true
    }

    /// A place among the variables, for [`text_since`](Self::text_since).
    pub(super) fn mark(&self) -> usize {
        self.variables.len()
    }

    /// The text of the variable of this full name, if the environment has it, or the file since
    /// that place.
    pub(super) fn text_since(&self, mark: usize, name: &str) -> Option<&str> {
        let of_file = || {
            let mut since = self.variables.get(mark..)?.iter();
            since.find_map(|(known, text, _)| (known == name).then_some(text))
        };
        let entry = self.source.find(name).map(|entry| &entry.text);
        Some(entry.or_else(of_file)?.expose().trim())
    }

    pub(super) fn set(&mut self, name: String, text: Secret, origin: Origin) {
        self.variables.push((name, text, origin));
    }
}

mod scope;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::PathBuf,
};

use bartizan_auth::Secret;

use crate::{
    Origin, Problem, Setting, Severity, Source, Variable, Warning, placeholder::is_placeholder,
    source::Leniency, value::Value, variable::Fallback,
};

pub(crate) use scope::Scope;
pub(crate) use words::quoted;

use words::{Found, reasons, shown, whereabouts, wrong};

/// Reads settings from a source and collects what is wrong with them.
///
/// A value that is wrong is replaced by its default, so that everything after it is read and
/// judged, too; nobody sees the replacement, because problems end in a refusal.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    source: &'a Source,
    development: bool,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    used: BTreeSet<String>,
    /// The variables that belong to a family of a service's, and that service's prefix.
    members: BTreeMap<String, BTreeSet<String>>,
    /// The files that something is kept in, and the variables that name them.
    kept: BTreeMap<PathBuf, String>,
}

/// One variable of a family.
#[derive(Debug)]
pub(crate) struct Member {
    /// What follows the beginning of the family's names.
    pub(crate) suffix: String,
    /// The text as it was given, blanks included.
    pub(crate) text: Setting<Secret>,
}

impl Member {
    /// Where the text stands.
    pub(crate) fn place(&self) -> String {
        match self.text.origin() {
            Origin::Builder => self.suffix.clone(),
            origin => origin.to_string(),
        }
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source, development: bool) -> Self {
        Self {
            source,
            development,
            problems: source.problems().to_vec(),
            warnings: source.warnings().to_vec(),
            used: BTreeSet::new(),
            members: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// What is wrong and what is worth a word; only what is certain, where something that is set
    /// may not be known.
    pub(crate) fn finish(mut self) -> (Vec<Problem>, Vec<Warning>) {
        if self.source.is_incomplete() {
            self.problems.retain(Problem::is_certain);
            self.warnings = self.source.warnings().to_vec();
        }
        (self.problems, self.warnings)
    }

    pub(crate) fn source(&self) -> &'a Source {
        self.source
    }

    pub(crate) fn is_explicit(&self) -> bool {
        self.source.leniency() == Leniency::Explicit
    }

    pub(crate) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning::new(Severity::Warning, text));
    }

    /// A warning about a name that means nothing.
    pub(crate) fn warn_of_a_name(&mut self, name: &str, text: impl Into<String>) {
        let warning = Warning::that_explains(text);
        self.warnings.push(warning.of_unknown(name));
    }

    /// A note about a name that means nothing, as far as is known.
    pub(crate) fn note_of_a_name(&mut self, name: &str, text: impl Into<String>) {
        let warning = Warning::new(Severity::Note, text);
        self.warnings.push(warning.of_unknown(name));
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning::new(Severity::Note, text));
    }

    /// Notes that a variable names a file to keep something in; the one that does so already, if any.
    pub(crate) fn keep(&mut self, file: PathBuf, variable: &str) -> Option<String> {
        match self.kept.entry(file) {
            Entry::Occupied(kept) => Some(kept.get().clone()),
            Entry::Vacant(free) => {
                free.insert(variable.to_owned());
                None
            }
        }
    }

    /// Whether something has asked for this variable.
    pub(crate) fn has_used(&self, name: &str) -> bool {
        self.used.contains(name)
    }

    /// The variables that something has asked for, which are not known any more then.
    pub(crate) fn take_used(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.used)
    }

    /// The prefixes of the services that took this variable for one of a family of theirs.
    pub(crate) fn families_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.members
            .get(name)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// The variables of a family, in the order of their names.
    pub(crate) fn family(&mut self, scope: &Scope, variable: &Variable) -> Vec<Member> {
        let stem = variable.family().unwrap_or(variable.name);
        let stem = stem.replace("<NAME>", scope.prefix());
        let mut members = Vec::new();
        for (name, entry) in self.source.entries_from(&stem) {
            self.used.insert(name.to_owned());
            let owners = self.members.entry(name.to_owned()).or_default();
            owners.insert(scope.prefix().to_owned());
            members.push(Member {
                suffix: name[stem.len()..].to_owned(),
                text: Setting::new(entry.text.clone(), entry.origin.clone()),
            });
        }
        members
    }

    /// Whether the variable, or the one that names its file, is set. Does not count as use.
    pub(crate) fn is_set(&self, scope: &Scope, variable: &Variable) -> bool {
        let name = scope.name(variable);
        self.source.find(&name).is_some()
            || (variable.is_secret() && self.source.find(&file_twin(&name)).is_some())
    }

    /// The text of the variable and where it came from.
    pub(crate) fn text(&mut self, scope: &Scope, variable: &Variable) -> Option<Setting<&'a str>> {
        let found = self.find(scope, variable)?;
        Some(Setting::new(found.text, found.origin.clone()))
    }

    fn find(&mut self, scope: &Scope, variable: &Variable) -> Option<Found<'a>> {
        let name = scope.name(variable);
        let entry = self.source.find(&name);
        self.used.insert(name.clone());
        entry.map(|entry| Found {
            name,
            text: entry.text.expose().trim(),
            origin: &entry.origin,
        })
    }

    /// The value of the variable, if it is set and right.
    pub(crate) fn optional<T: Value>(
        &mut self,
        scope: &Scope,
        variable: &Variable,
    ) -> Option<Setting<T>> {
        let found = self.find(scope, variable)?;
        match T::parse(variable, found.text) {
            Ok(value) => Some(Setting::new(value, found.origin.clone())),
            Err(fault) => {
                let problem = wrong(scope, variable, &found, fault);
                self.problems.push(problem.certain());
                None
            }
        }
    }

    /// The value of the variable, or its default.
    ///
    /// Only for variables whose row of the table has a default.
    pub(crate) fn setting<T: Value>(&mut self, scope: &Scope, variable: &Variable) -> Setting<T> {
        let read = self.optional(scope, variable);
        read.unwrap_or_else(|| default_of(variable))
    }

    /// The value that the variable has where nobody sets it.
    ///
    /// Only for variables whose row of the table has a default.
    pub(crate) fn default<T: Value>(&self, variable: &Variable) -> Setting<T> {
        default_of(variable)
    }

    /// The value of the variable, or this one.
    pub(crate) fn inherit<T: Value + Clone>(
        &mut self,
        scope: &Scope,
        variable: &Variable,
        parent: &Setting<T>,
    ) -> Setting<T> {
        let read = self.optional(scope, variable);
        read.unwrap_or_else(|| parent.clone())
    }

    /// The value of the variable; without one, a problem in these words.
    pub(crate) fn required<T: Value>(
        &mut self,
        scope: &Scope,
        variable: &Variable,
        words: &str,
    ) -> Option<Setting<T>> {
        self.check_presence(scope, variable, words);
        self.optional(scope, variable)
    }

    /// The secret; without one, a problem.
    pub(crate) fn required_secret(
        &mut self,
        scope: &Scope,
        variable: &Variable,
    ) -> Option<Setting<Secret>> {
        self.check_presence(scope, variable, &format!("{} is required", variable.rule));
        self.secret(scope, variable)
    }

    fn check_presence(&mut self, scope: &Scope, variable: &Variable, words: &str) {
        if !self.is_set(scope, variable) {
            let problem = Problem::new(scope.message(words));
            self.problems.push(if self.is_explicit() {
                problem
            } else {
                problem.detail(format!("{} is not set", scope.name(variable)))
            });
        }
    }

    /// The secret of the variable or of the file that its twin names, if it is set and right.
    pub(crate) fn secret(&mut self, scope: &Scope, variable: &Variable) -> Option<Setting<Secret>> {
        let secret = self.secret_text(scope, variable)?;
        if self.refuses_placeholder(secret.expose()) {
            let words = scope.message(&format!("{} is a placeholder", variable.rule));
            self.wrong_secret(scope, variable, words);
            return None;
        }
        Some(secret)
    }

    /// The same, without the check for placeholders.
    pub(crate) fn secret_text(
        &mut self,
        scope: &Scope,
        variable: &Variable,
    ) -> Option<Setting<Secret>> {
        let name = scope.name(variable);
        let twin = file_twin(&name);
        self.used.insert(name.clone());
        self.used.insert(twin.clone());
        match (self.source.find(&name), self.source.find(&twin)) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                let (name, twin) = (self.place(&name), self.place(&twin));
                let problem = Problem::new(format!("{name} and {twin} are both set"));
                self.problems.push(problem.certain());
                None
            }
            (Some(entry), None) => {
                let secret = Secret::new(entry.text.expose().trim());
                Some(Setting::new(secret, entry.origin.clone()))
            }
            (None, Some(entry)) => {
                let path = entry.text.expose().trim();
                let origin = Origin::File {
                    variable: entry.origin.member().unwrap_or(&twin).to_owned(),
                    path: path.into(),
                };
                let reason = match Secret::from_file(path) {
                    Ok(secret) if secret.expose().trim().is_empty() => {
                        format!("the secret file is blank: {path}")
                    }
                    Ok(secret) => {
                        return Some(Setting::new(Secret::new(secret.expose().trim()), origin));
                    }
                    Err(error) => reasons(&error),
                };
                let place = self.place(&twin);
                let problem = Problem::new(format!("{place} must name a readable file"));
                self.problems.push(problem.detail(reason).certain());
                None
            }
        }
    }

    /// Whether `secret` is what an example file holds in its place, outside development.
    pub(crate) fn refuses_placeholder(&self, secret: &str) -> bool {
        !self.development && is_placeholder(secret)
    }

    /// A problem with a secret, naming where it came from but not what it is.
    pub(crate) fn wrong_secret(&mut self, scope: &Scope, variable: &Variable, words: String) {
        let problem = Problem::new(words);
        let name = self.secret_name(scope, variable);
        let detail = match self.source.find(&name) {
            // The name of a file is no secret.
            Some(entry) if name != scope.name(variable) => {
                let found = Found {
                    name,
                    text: entry.text.expose().trim(),
                    origin: &entry.origin,
                };
                Some(shown(variable, &found))
            }
            _ if self.is_explicit() => None,
            _ => Some(self.place(&name)),
        };
        self.problems.push(match detail {
            Some(detail) => problem.detail(detail),
            None => problem,
        });
    }

    /// The variable that a secret comes from: its own, or, if that is not set, the one that names
    /// its file.
    pub(crate) fn secret_name(&self, scope: &Scope, variable: &Variable) -> String {
        let name = scope.name(variable);
        let twin = file_twin(&name);
        let is_set = |name: &str| self.source.find(name).is_some();
        if !is_set(&name) && is_set(&twin) {
            twin
        } else {
            name
        }
    }

    /// Where the value of a variable stands, which is not to be shown.
    pub(crate) fn place(&self, name: &str) -> String {
        let entry = self.source.find(name);
        entry.map_or_else(|| name.to_owned(), |it| whereabouts(name, &it.origin))
    }

    /// A problem with a value that parses but cannot be, beside what else is set.
    pub(crate) fn wrong_value(&mut self, scope: &Scope, variable: &Variable, words: &str) {
        if let Some(found) = self.find(scope, variable) {
            let problem = Problem::new(scope.message(words));
            self.problems.push(problem.detail(shown(variable, &found)));
        }
    }
}

pub(crate) fn file_twin(name: &str) -> String {
    format!("{name}_FILE")
}

/// The default of the variable's row.
fn default_of<T: Value>(variable: &Variable) -> Setting<T> {
    let Fallback::Value(text, why) = variable.fallback else {
        unreachable!("{} has no default", variable.name);
    };
    match T::parse(variable, text) {
        Ok(value) => Setting::new(value, Origin::Default(why)),
        Err(fault) => unreachable!("the default of {} is no value: {fault:?}", variable.name),
    }
}

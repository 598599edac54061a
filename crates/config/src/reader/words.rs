//! How a value that is wrong is spoken of.

use bartizan_auth::SecretFileError;

use super::Scope;
use crate::{
    Origin, Problem, Variable,
    native::units_of,
    number::{self, NotANumber},
    table,
    value::Fault,
    variable::Kind,
};

/// A variable that is set, and to what.
pub(super) struct Found<'a> {
    pub(super) name: String,
    pub(super) text: &'a str,
    pub(super) origin: &'a Origin,
}

impl Found<'_> {
    /// What its author calls it.
    fn subject(&self) -> &str {
        match self.origin {
            Origin::Flag(flag) => flag,
            origin => origin.member().unwrap_or(&self.name),
        }
    }

    fn whereabouts(&self) -> String {
        whereabouts(&self.name, self.origin)
    }
}

/// What is wrong with a value.
pub(super) fn wrong(
    scope: &Scope,
    variable: &Variable,
    found: &Found<'_>,
    fault: Fault,
) -> Problem {
    match fault {
        Fault::Rule => Problem::new(scope.message(variable.rule)).detail(shown(variable, found)),
        Fault::RuleAnd(what) => Problem::new(scope.message(variable.rule))
            .detail(format!("{}: {what}", shown(variable, found))),
        Fault::Must(what) => {
            let units = units(variable, found);
            Problem::new(format!("{} must {what}{units}", found.subject()))
                .detail(shown(variable, found))
        }
        Fault::Unquotable(what) if variable.rule.is_empty() => {
            Problem::new(format!("{} must {what}", found.whereabouts()))
        }
        Fault::Unquotable(what) => Problem::new(scope.message(variable.rule))
            .detail(format!("{} must {what}", found.whereabouts())),
    }
}

/// What a native file may say as well where a number is malformed.
fn units(variable: &Variable, found: &Found<'_>) -> String {
    let is_native = matches!(found.origin, Origin::Native { .. });
    let is_malformed = number::whole(found.text) == Err(NotANumber::Malformed);
    match units_of(variable.kind).filter(|_| is_native && is_malformed) {
        // Half a second cannot be written, in whatever unit.
        Some(_) if variable.kind == Kind::Seconds => {
            ", or a duration of whole seconds, such as 2m".to_owned()
        }
        Some(units) => format!(", or one with a unit, {units}"),
        None => String::new(),
    }
}

/// What the value is and where it stands.
pub(super) fn shown(variable: &Variable, found: &Found<'_>) -> String {
    let Some(value) = value(variable, found.text) else {
        return found.whereabouts();
    };
    match found.origin {
        Origin::Builder => format!("it is {value}"),
        Origin::DotEnv { path, line, .. } => {
            format!(
                "{} is {value} in {}, line {line}",
                found.name,
                path.display()
            )
        }
        Origin::McpServers {
            member: name,
            path,
            line,
            column,
        }
        | Origin::Native {
            key: name,
            path,
            line,
            column,
        } => format!(
            "{name} is {value} in {}, line {line}, column {column}",
            path.display()
        ),
        _ => format!("{} is {value}", found.subject()),
    }
}

/// The value in quotes. Of URLs only what stands before a query, where some services want their
/// keys; none, if there may be a password in it.
fn value(variable: &Variable, text: &str) -> Option<String> {
    if variable.kind != Kind::Url && variable.name != table::ENDPOINT.name {
        return Some(quoted(text));
    }
    if text.contains('@') {
        return None;
    }
    let Some(end) = text.find(['?', '#']) else {
        return Some(quoted(text));
    };
    let shown = quoted(&text[..end]);
    Some(if shown.ends_with('"') {
        shown + "..."
    } else {
        shown
    })
}

/// What a value that is not shown goes by: with its place in a file, where its author wrote it into
/// one, and else with the name of the variable.
pub(super) fn whereabouts(name: &str, origin: &Origin) -> String {
    match origin {
        Origin::DotEnv { .. }
        | Origin::McpServers { .. }
        | Origin::Native { .. }
        | Origin::Flag(_) => origin.to_string(),
        _ => name.to_owned(),
    }
}

/// `text` in quotes, cut where it gets long.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;

    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Why a file of a secret cannot be read, to the last cause.
pub(super) fn reasons(error: &SecretFileError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}

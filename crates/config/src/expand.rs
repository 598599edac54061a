//! What a text of a file names, put in its place.

use std::{
    collections::HashMap,
    path::{MAIN_SEPARATOR, Path, PathBuf},
};

use bartizan_auth::Secret;

use crate::Source;

/// What a text can name besides variables.
#[derive(Debug)]
pub(crate) struct Context {
    /// `${workspaceFolder}`
    pub(crate) workspace: PathBuf,
    /// `${userHome}`
    home: Option<String>,
}

impl Context {
    /// What the texts of the file at `path` can name.
    pub(crate) fn new(path: &Path, source: &Source) -> Self {
        let home = source
            .lookup("HOME")
            .or_else(|| source.lookup("USERPROFILE"));
        Self {
            workspace: workspace(path),
            home: home.map(|home| home.expose().to_owned()),
        }
    }
}

/// The directory that an editor would have open: that of the file, or, if the file is in the
/// editor's own directory, the one above.
fn workspace(path: &Path) -> PathBuf {
    let directory = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let own = directory(&path);
    match own.file_name().and_then(|name| name.to_str()) {
        Some(".vscode" | ".cursor" | ".claude") => directory(&own),
        _ => own,
    }
}

/// What cannot be put in place of a `${...}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `${input:...}`: an editor asks its user.
    Input(String),
    /// A variable that is not set.
    Unset(String),
    /// Something else that an editor knows.
    Unknown(String),
    /// `${userHome}` of nobody.
    NoHome,
    /// A default of the variable of this name that names something itself.
    Nested(String),
}

impl Fault {
    /// Whether there may be no fault: what is not set may be what was not understood.
    pub(crate) fn may_be_of_another_file(&self, source: &Source) -> bool {
        matches!(self, Self::Unset(_)) && source.is_incomplete()
    }

    /// What is to be said of the member that holds it. `variable` can be set instead.
    pub(crate) fn words(&self, variable: Option<&str>) -> String {
        let instead = variable.map_or_else(String::new, |it| format!(", or set {it}"));
        match self {
            Self::Input(name) => format!(
                "asks for the input {name:?}, and there is nobody to ask: write ${{env:NAME}} \
                 in its place{instead}"
            ),
            Self::Unset(name) => {
                format!("names the variable {name}, which is not set: set it{instead}")
            }
            Self::Unknown(what) => {
                format!("holds ${{{what}}}, which only an editor knows: replace it{instead}")
            }
            Self::NoHome => "names the home directory, and HOME is not set: set it".to_owned(),
            Self::Nested(name) => format!(
                "holds a default for {name} with another ${{...}} in it, which is not understood: \
                 write a plain default{instead}"
            ),
        }
    }
}

/// `text` with what it names put in its place, once: what was put in is not looked at again.
///
/// `${env:NAME}`, `${NAME}` and `${NAME:-default}` name variables; the default counts if there is
/// none or it is empty, and may hold braces in pairs. `${workspaceFolder}`, `${workspaceFolderBasename}`, `${userHome}`,
/// `${pathSeparator}` and `${/}` are what editors make of them. What is none of this, such as
/// `$NAME` and `${1}`, stays as it is.
pub(crate) fn expand(
    text: &str,
    context: &Context,
    lookup: impl Fn(&str) -> Option<Secret>,
) -> Result<Secret, Fault> {
    let closings = closings(text);
    let mut expanded = String::with_capacity(text.len());
    let mut end = 0;
    while let Some(length) = text[end..].find("${") {
        let start = end + length;
        // Where none matches, the first has to do: `${NAME:-{}` has the default `{`.
        let first = || Some(start + text[start..].find('}')?);
        let Some(closing) = closings.get(&(start + 1)).copied().or_else(first) else {
            break;
        };
        expanded.push_str(&text[end..start]);
        end = closing + 1;
        match named(&text[start + 2..closing], context, &lookup)? {
            Some(text) => expanded.push_str(text.expose()),
            None => expanded.push_str(&text[start..end]),
        }
    }
    expanded.push_str(&text[end..]);
    Ok(Secret::new(expanded))
}

/// The closing brace of every opening one that has any. All at once, since to look for each
/// would take time in the square of what a hostile text holds.
fn closings(text: &str) -> HashMap<usize, usize> {
    let (mut open, mut closings) = (Vec::new(), HashMap::new());
    for (at, brace) in text.match_indices(['{', '}']) {
        if brace == "{" {
            open.push(at);
        } else if let Some(opening) = open.pop() {
            closings.insert(opening, at);
        }
    }
    closings
}

/// What stands for `${inner}`; `None` if it names nothing.
fn named(
    inner: &str,
    context: &Context,
    lookup: impl Fn(&str) -> Option<Secret>,
) -> Result<Option<Secret>, Fault> {
    let known = |text: &str| Ok(Some(Secret::new(text)));
    match inner {
        "workspaceFolder" => return known(&context.workspace.display().to_string()),
        "workspaceFolderBasename" => {
            let name = context.workspace.file_name().unwrap_or_default();
            return known(&name.to_string_lossy());
        }
        "userHome" => return known(context.home.as_deref().ok_or(Fault::NoHome)?),
        "pathSeparator" | "/" => return known(MAIN_SEPARATOR.encode_utf8(&mut [0; 4])),
        _ => {}
    }
    let reference = inner.strip_prefix("env:").unwrap_or(inner);
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if is_name(name) {
        if default.is_some_and(|it| it.contains("${")) {
            return Err(Fault::Nested(name.to_owned()));
        }
        let value = lookup(name).filter(|it| default.is_none() || !it.expose().is_empty());
        return match (value, default) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(default)) => known(default),
            (None, None) => Err(Fault::Unset(name.to_owned())),
        };
    }
    match inner.split_once(':') {
        Some(("input", name)) => Err(Fault::Input(name.to_owned())),
        Some((kind @ ("env" | "command" | "config" | "workspaceFolder"), name)) => {
            Err(Fault::Unknown(format!("{kind}:{name}")))
        }
        _ => Ok(None),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn expanded(text: &str) -> Result<String, Fault> {
        let context = Context {
            workspace: "/srv/project".into(),
            home: Some("/srv/user".into()),
        };
        let lookup = |name: &str| match name {
            "NAME" => Some(Secret::new("ada")),
            "EMPTY" => Some(Secret::new("")),
            "NESTED" => Some(Secret::new("${NAME}")),
            _ => None,
        };
        expand(text, &context, lookup).map(|text| text.expose().to_owned())
    }

    #[test]
    fn what_is_named_is_put_in_its_place() {
        for (text, expected) in [
            ("${env:NAME}", "ada"),
            ("a ${NAME} b ${NAME}", "a ada b ada"),
            ("${NAME:-bob}", "ada"),
            ("${OTHER:-bob}", "bob"),
            ("${OTHER:-}", ""),
            ("${EMPTY:-bob}", "bob"),
            ("${EMPTY}", ""),
            ("${NESTED}", "${NAME}"),
            ("${workspaceFolder}/x", "/srv/project/x"),
            ("${workspaceFolderBasename}", "project"),
            ("${userHome}${/}x", "/srv/user/x"),
            (
                "$NAME ${1} ${} ${a b} ${NAME",
                "$NAME ${1} ${} ${a b} ${NAME",
            ),
            ("${NAME%.*}", "${NAME%.*}"),
            ("${NAME:-{}}.", "ada."),
            ("${OTHER:-{\"a\": {}}}.", "{\"a\": {}}."),
            ("${OTHER:-{} }", "{} "),
            ("${OTHER:-{}", "{"),
            ("${a {b} ${NAME}", "${a {b} ada"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, expected) in [
            ("${env:OTHER}", Fault::Unset("OTHER".into())),
            ("x${OTHER}", Fault::Unset("OTHER".into())),
            ("${input:api-key}", Fault::Input("api-key".into())),
            ("${config:a.b}", Fault::Unknown("config:a.b".into())),
            ("${command:x}", Fault::Unknown("command:x".into())),
            ("${OTHER:-${NAME}}", Fault::Nested("OTHER".into())),
            ("${NAME:-x${env:OTHER}}", Fault::Nested("NAME".into())),
            ("${NAME:-${OTHER}", Fault::Nested("NAME".into())),
        ] {
            assert_eq!(expanded(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>(), tail in "[${}:a-zé-]{0,40}") {
            let _ = expanded(&text);
            let _ = expanded(&tail);
        }

        #[test]
        fn a_text_that_names_nothing_stays(text in "[^$]*") {
            prop_assert_eq!(expanded(&text), Ok(text));
        }
    }
}

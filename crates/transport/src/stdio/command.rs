use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Below this, a value such as `1` or `true` says nothing, and replacing it would garble the rest.
const SECRET_BYTES: usize = 6;

/// A program to run as an MCP server: its arguments, its environment and where it runs.
///
/// The child sees the variables given here and no others: those [inherited](Command::inherited)
/// by name, and those [set](Command::env) for it. Values and arguments often hold credentials,
/// so `Debug` shows neither.
///
/// ```
/// use bartizan_transport::stdio::Command;
///
/// let command = Command::new("npx")
///     .args(["-y", "@modelcontextprotocol/server-github"])
///     .inherited(vec![("PATH".into(), "/usr/bin:/bin".into())])
///     .env("GITHUB_TOKEN", "ghp_0123456789");
/// assert!(!format!("{command:?}").contains("ghp_"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    inherited: Vec<(OsString, OsString)>,
    env: Vec<(OsString, OsString)>,
    hidden: Vec<OsString>,
    working_dir: Option<PathBuf>,
    service: Option<Arc<str>>,
}

impl Command {
    /// The names of variables that are harmless and that programs commonly need: what to read
    /// from the gateway's own environment and pass to [`Command::inherited`] unless told otherwise.
    ///
    /// The official SDKs pass HOME, LOGNAME, PATH, SHELL, TERM and USER; the others are locale,
    /// time zone, scratch directory, and where the system keeps its certificates.
    pub const INHERITED: &[&str] = &[
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
    ];

    /// The given program, without arguments and with an empty environment.
    ///
    /// A name without a slash is looked up in the child's own `PATH`, or in
    /// `/usr/local/bin:/usr/bin:/bin` if it has none. A relative path starts from the
    /// [working directory](Command::working_dir).
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            inherited: Vec::new(),
            env: Vec::new(),
            hidden: Vec::new(),
            working_dir: None,
            service: None,
        }
    }

    /// Adds arguments. They are passed as they are: no shell looks at them.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The variables passed on from the gateway's own environment, in place of those given before.
    pub fn inherited(mut self, variables: Vec<(OsString, OsString)>) -> Self {
        self.inherited = variables;
        self
    }

    /// Sets a variable, whether or not one of that name is inherited.
    ///
    /// The value is treated as a secret: it is not shown by `Debug`, and where it has six bytes or
    /// more, it is replaced in what is kept of the child's standard error.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Texts that are secrets, besides the values of variables: parts of the arguments, say. They are
    /// replaced in what is kept of the child's standard error as those are, however short they are.
    pub fn hidden<T: Into<OsString>>(mut self, texts: impl IntoIterator<Item = T>) -> Self {
        self.hidden.extend(texts.into_iter().map(Into::into));
        self
    }

    /// Where the program runs. Default: where the gateway runs.
    pub fn working_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(directory.into());
        self
    }

    /// What the log calls it besides its program, which many may have in common.
    pub fn service(mut self, name: impl Into<Arc<str>>) -> Self {
        self.service = Some(name.into());
        self
    }

    pub(crate) fn service_name(&self) -> Option<&Arc<str>> {
        self.service.as_ref()
    }

    /// The program as it was given.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.working_dir.as_deref()
    }

    pub(super) fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// All variables; of two with one name, the later counts.
    pub(super) fn variables(&self) -> impl DoubleEndedIterator<Item = (&OsStr, &OsStr)> {
        let all = self.inherited.iter().chain(&self.env);
        all.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// What is nobody's business, with what is shown in its place: the values of variables that were
    /// set for this child, and texts that are hidden.
    pub(super) fn secrets(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let set = self.env.iter();
        let set = set.map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        let redacted = OsStr::new("redacted");
        let hidden = self.hidden.iter();
        let hidden = hidden.map(move |text| (redacted, text.as_os_str()));
        set.filter(|(_, value)| value.len() >= SECRET_BYTES)
            .chain(hidden.filter(|(_, text)| !text.is_empty()))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |variables: &[(OsString, OsString)]| -> Vec<OsString> {
            variables.iter().map(|(name, _)| name.clone()).collect()
        };
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("inherited", &names(&self.inherited))
            .field("env", &names(&self.env))
            .field("working_dir", &self.working_dir)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn debug_shows_names_and_no_values() {
        let command = Command::new("server")
            .args(["--token", "argument-secret"])
            .inherited(vec![("HOME".into(), "/srv/inherited-secret".into())])
            .env("API_KEY", "env-secret");
        let shown = format!("{command:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("API_KEY") && shown.contains("HOME"));
    }

    #[test]
    fn nothing_that_is_inherited_by_default_names_a_credential() {
        for name in Command::INHERITED {
            for word in ["KEY", "TOKEN", "SECRET", "PASS", "AUTH", "LD_", "PROXY"] {
                assert!(!name.contains(word), "{name}");
            }
        }
    }
}

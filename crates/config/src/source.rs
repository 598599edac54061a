//! The texts that a configuration is parsed from.

mod native;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::File,
    io::{self, Read},
    ops::Bound,
    path::Path,
};

use bartizan_auth::Secret;

use crate::{
    NativeRegistry, Origin, Problem, Warning, dotenv, servers, stdio::is_inherited, table,
};

/// A file of settings larger than this is some other file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The texts that a configuration is parsed from, by the name of their variable.
///
/// Made of the process environment, of environment files, or in a test of nothing but pairs.
/// What came first wins: add the source that overrides before those that are overridden. Whatever is
/// wrong with a file, [`Configuration::parse`](crate::Configuration::parse) says so, together with
/// what else is wrong.
///
/// ```
/// use bartizan_config::{Configuration, Source};
///
/// let source = Source::from_iter([
///     ("MCP_SERVICES", "user-service"),
///     ("MCP_SERVICE_USER_SERVICE_ENDPOINT", "http://localhost:8081"),
///     ("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "none"),
/// ]);
/// let configuration = Configuration::parse(&source)?;
/// assert_eq!(configuration.services[0].name, "user-service");
/// # Ok::<(), bartizan_config::Errors>(())
/// ```
///
/// Its `Debug` form shows the names and none of the values, except of the few harmless variables
/// that a child process gets.
#[derive(Clone, Debug, Default)]
pub struct Source {
    entries: BTreeMap<String, Entry>,
    /// The names of services, where they do not come from `MCP_SERVICES`.
    names: Option<Vec<String>>,
    problems: Vec<Problem>,
    /// Whether a file may say more than was understood.
    is_incomplete: bool,
    warnings: Vec<Warning>,
    /// Whether groups that the programmatic API requires may be absent.
    lenient: Leniency,
    /// The variables that every child process gets.
    inherited: Vec<(OsString, OsString)>,
    /// Whether variables that do not concern the gateway are looked up in the process environment
    /// when a file of servers names them.
    is_of_the_process: bool,
    /// The services of native files and of files of servers, and where their names stand.
    servers: Vec<(String, Origin)>,
    /// The services that native files list with their instances, and where the lists stand.
    listed: Vec<(NativeRegistry, Origin)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leniency {
    /// Every group of values has defaults: environment variables.
    #[default]
    Defaults,
    /// The groups of the documented programmatic API have to be there.
    Explicit,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) text: Secret,
    pub(crate) origin: Origin,
}

impl Source {
    /// What the process environment says about the gateway, and the few harmless variables, such
    /// as `PATH`, that a child process gets; the rest of it is not kept.
    ///
    /// Nothing outside of this crate reads the environment.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is the one that reads the environment"
    )]
    pub fn environment() -> Self {
        let mut source = Self {
            inherited: inherited(),
            is_of_the_process: true,
            ..Self::default()
        };
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| table::concerns_us(name)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => source.insert(name, value, Origin::Variable(name.to_owned())),
                Err(_) => {
                    let problem = Problem::new(format!("{name} must be UTF-8 text"));
                    source.problems.push(problem.certain());
                }
            }
        }
        source
    }

    /// Adds what an environment file says, below what is there already.
    ///
    /// Wrong is one that cannot be read, is larger than 1 MiB, is not UTF-8, is a pipe with nothing
    /// in it (any more), or has lines that are not understood.
    #[must_use]
    pub fn with_file(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match read(path) {
            Ok(text) => self.with_text(&text, path),
            Err(error) => self.without(path, &error),
        }
    }

    /// The same as [`Source::with_file`], but a file that does not exist adds nothing.
    #[must_use]
    pub fn with_file_if_present(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self,
            Ok(text) => self.with_text(&text, path),
            Err(error) => self.without(path, &error),
        }
    }

    /// The same where a file cannot be read.
    fn without(mut self, path: &Path, error: &io::Error) -> Self {
        let problem = Problem::new(format!("{} cannot be read", path.display()));
        self.miss([problem.detail(error.to_string())]);
        self
    }

    /// Notes what is wrong with a file, which says more than is known if anything is.
    fn miss(&mut self, problems: impl IntoIterator<Item = Problem>) {
        let known = self.problems.len();
        let problems = problems.into_iter().map(Problem::certain);
        self.problems.extend(problems);
        self.is_incomplete |= self.problems.len() > known;
    }

    /// Adds what the text of an environment file says, below what is there already. `path` only
    /// names it.
    ///
    /// Of two lines for one variable the later counts, with a warning. Lines that are not
    /// understood are wrong.
    #[must_use]
    pub fn with_text(mut self, text: &str, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let file = path.display().to_string();
        let (assignments, problems) = dotenv::parse(text, &file);
        let (assignments, warnings) = dotenv::once(assignments, &file);
        self.warnings.extend(warnings);
        self.miss(problems);
        for (name, assignment) in assignments {
            let origin = Origin::DotEnv {
                variable: name.clone(),
                path: path.to_owned(),
                line: assignment.line,
            };
            self.insert_below(name, assignment.value, origin);
        }
        self
    }

    /// Sets a variable to what an argument of the command line says, above all that is there.
    #[must_use]
    pub fn with_flag(mut self, flag: &'static str, name: &str, text: impl Into<String>) -> Self {
        self.insert(name, text, Origin::Flag(flag));
        self
    }

    /// Adds the services of a file of MCP servers, below what is there already: the `mcpServers`
    /// of Claude Desktop, Claude Code and Cursor, or the `servers` of VS Code.
    ///
    /// The services come after those of `MCP_SERVICES`. Variables such as
    /// `MCP_SERVICE_<NAME>_TIMEOUT` that are there already, and the keys of a `bartizan.yaml`, win
    /// over the file and add to it, so a file comes last. The file may hold comments and trailing commas, and name variables as
    /// `${env:NAME}`, `${NAME}` or `${NAME:-default}`; they are looked up where this source came
    /// from.
    ///
    /// ```
    /// use bartizan_config::{Configuration, Source};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join(".mcp.json");
    /// # std::fs::write(&path, r#"{"mcpServers": {"time": {"command": "mcp-server-time"}}}"#)?;
    /// let source = Source::environment().with_mcp_config(&path);
    /// let configuration = Configuration::parse(&source)?;
    /// assert_eq!(configuration.services[0].name, "time");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Wrong is one that cannot be read, is larger than 1 MiB, is not UTF-8, or holds what is not
    /// understood or cannot be expanded; everything is named, by line and column.
    #[must_use]
    pub fn with_mcp_config(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => return self.without(path, &error),
        };
        let read = servers::read(&text, path, &self);
        self.warnings.extend(read.warnings);
        self.miss(read.problems);
        for server in read.servers {
            let other = self.servers.iter().find(|(name, _)| *name == server.name);
            // One that a native file describes as well is one service.
            let is_native = matches!(other, Some((_, Origin::Native { .. })));
            if let Some((_, other)) = other.filter(|_| !is_native) {
                let text = format!("{} is there already: {other}", server.origin);
                self.miss([Problem::new(text)]);
                continue;
            }
            for (name, text, origin) in server.variables {
                self.add_below(name, Entry { text, origin });
            }
            if !is_native {
                self.servers.push((server.name, server.origin));
            }
        }
        self
    }

    /// Adds a variable unless it is set. One of the environment that holds nothing but blanks is
    /// not; one of a structured file that is empty was meant to be.
    fn add_below(&mut self, name: String, entry: Entry) {
        let is_set = self.entries.get(&name).is_some_and(|there| {
            there.origin.is_structured() || !there.text.expose().trim().is_empty()
        });
        if !is_set {
            self.entries.insert(name, entry);
        }
    }

    /// The value of any variable, where a file of servers names it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is the one that reads the environment"
    )]
    pub(crate) fn lookup(&self, name: &str) -> Option<Secret> {
        let process = || {
            let value = std::env::var_os(name).filter(|_| self.is_of_the_process)?;
            value.into_string().ok().map(Secret::new)
        };
        let known = || Some(self.entries.get(name)?.text.clone());
        match process() {
            // Blank is not set, as it is where a variable is the gateway's own.
            Some(value) if value.expose().trim().is_empty() => known().or(Some(value)),
            value => value.or_else(known),
        }
    }

    /// The services that native files list with their instances, and where the lists stand.
    pub(crate) fn listed(&self) -> &[(NativeRegistry, Origin)] {
        &self.listed
    }

    /// The services of native files and of files of servers, and where their names stand.
    pub(crate) fn servers(&self) -> &[(String, Origin)] {
        &self.servers
    }

    /// Adds a variable unless it is set to something.
    pub(crate) fn insert_below(&mut self, name: String, text: impl Into<String>, origin: Origin) {
        let text = Secret::new(text);
        self.add_below(name, Entry { text, origin });
    }

    /// The variables whose names begin with `stem`, and nothing that is wrong with the others.
    pub(crate) fn part(&self, stem: &str) -> Self {
        let entries = self.entries_from(stem);
        Self {
            entries: entries
                .map(|(name, entry)| (name.to_owned(), entry.clone()))
                .collect(),
            inherited: self.inherited.clone(),
            is_of_the_process: self.is_of_the_process,
            ..Self::default()
        }
    }

    /// Whether both hold the same variables with the same texts, wherever those came from.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let texts = |source: &Self| -> Vec<(String, Secret)> {
            let set = source
                .entries
                .iter()
                .filter(|(name, _)| source.find(name).is_some());
            set.map(|(name, entry)| (name.clone(), entry.text.clone()))
                .collect()
        };
        texts(self) == texts(other)
    }

    /// The same without these variables.
    pub(crate) fn except(&self, names: &BTreeSet<String>) -> Self {
        let mut source = self.clone();
        source.entries.retain(|name, _| !names.contains(name));
        source
    }

    /// Whether this is what the process was started with, and not pairs of a test or a builder.
    pub(crate) fn is_of_the_process(&self) -> bool {
        self.is_of_the_process
    }

    pub(crate) fn explicit() -> Self {
        Self {
            lenient: Leniency::Explicit,
            names: Some(Vec::new()),
            inherited: inherited(),
            ..Self::default()
        }
    }

    pub(crate) fn insert(
        &mut self,
        name: impl Into<String>,
        text: impl Into<String>,
        origin: Origin,
    ) {
        let text = Secret::new(text);
        self.entries.insert(name.into(), Entry { text, origin });
    }

    pub(crate) fn push_name(&mut self, name: String) {
        self.names.get_or_insert_default().push(name);
    }

    /// Takes out what `goes` names, and says what that was.
    pub(crate) fn remove(&mut self, goes: impl Fn(&str) -> bool) -> Vec<String> {
        let gone = self.entries.extract_if(.., |name, _| goes(name));
        gone.map(|(name, _)| name).collect()
    }

    /// The entry of a variable, which is as good as absent if it holds nothing but blanks: what
    /// an orchestrator that passes variables on sets where there is nothing to pass on.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        self.entries
            .get(name)
            .filter(|entry| !entry.text.expose().trim().is_empty())
    }

    /// The entries whose names begin with `stem`, blank or not, in the order of their names.
    pub(crate) fn entries_from(&self, stem: &str) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .range::<str, _>((Bound::Included(stem), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(stem))
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// The variables of this process that every child process gets.
    pub(crate) fn inherited(&self) -> &[(OsString, OsString)] {
        &self.inherited
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(crate) fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    pub(crate) fn leniency(&self) -> Leniency {
        self.lenient
    }

    /// What is wrong with where it comes from.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether a file may say more than was understood, so that what seems to be missing may be
    /// there.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl<N: Into<String>, T: Into<String>> FromIterator<(N, T)> for Source {
    /// Variables as the process environment would hold them.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(pairs: I) -> Self {
        let mut source = Self::default();
        for (name, text) in pairs {
            let (name, text) = (name.into(), text.into());
            if is_inherited(&name) {
                let (name, text) = (name.clone().into(), text.clone().into());
                source.inherited.push((name, text));
            }
            source.insert(name.clone(), text, Origin::Variable(name));
        }
        source
    }
}

/// The variables of this process that a child process gets.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate is the one that reads the environment"
)]
fn inherited() -> Vec<(OsString, OsString)> {
    std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(is_inherited))
        .collect()
}

/// The text of a file that is not larger than what a file of settings is.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read_bytes(path)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// The bytes of a file that is not larger than what a file of settings is.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    let read = (&file).take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    if read == 0 && is_pipe(&file) {
        // Taken for an empty file, a reload would take back all that it said at the start.
        return Err(io::Error::other(
            "it is a pipe with nothing in it: what was read from one is gone",
        ));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn is_pipe(file: &File) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let metadata = file.metadata();
    metadata.is_ok_and(|it| it.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(source: &'a Source, name: &str) -> Option<&'a str> {
        source.find(name).map(|entry| entry.text.expose())
    }

    /// The only thing that is wrong.
    fn wrong(source: &Source) -> String {
        assert!(source.is_incomplete());
        let [problem] = source.problems() else {
            panic!("{:?}", source.problems())
        };
        problem.to_string()
    }

    #[test]
    fn what_came_first_wins_unless_it_is_blank() {
        let source = Source::from_iter([("PORT", "1"), ("MCP_SERVICES", " ")])
            .with_text("PORT=2\nMCP_SERVICES=a\nNODE_ENV=test\n", ".env");
        assert_eq!(text(&source, "PORT"), Some("1"));
        assert_eq!(text(&source, "MCP_SERVICES"), Some("a"));
        assert_eq!(
            source.lookup("MCP_SERVICES").unwrap().expose(),
            "a",
            "nor does it hide what a file of servers names"
        );
        assert_eq!(text(&source, "NODE_ENV"), Some("test"));
        let origin = &source.find("NODE_ENV").unwrap().origin;
        assert_eq!(origin.to_string(), "NODE_ENV (.env, line 3)");
    }

    #[test]
    fn the_later_of_two_lines_counts_with_a_warning() {
        let source = Source::default().with_text("PORT=1\nPORT=2", ".env");
        assert_eq!(text(&source, "PORT"), Some("2"));
        assert_eq!(
            source.warnings()[0].text(),
            ".env sets PORT more than once; line 2 counts"
        );
    }

    #[test]
    fn a_file_has_to_exist_only_if_it_was_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        let source = Source::default().with_file_if_present(&path);
        assert_eq!(
            (source.variables().count(), source.problems()),
            (0, &[][..])
        );
        let error = wrong(&Source::default().with_file(&path));
        assert!(error.contains(".env cannot be read ("), "{error}");

        std::fs::write(&path, "PORT=9000\n").unwrap();
        let source = Source::default().with_file(&path);
        assert_eq!(text(&source, "PORT"), Some("9000"));
        std::fs::write(&path, b"PORT=\xff").unwrap();
        wrong(&Source::default().with_file_if_present(&path));
        std::fs::write(&path, vec![b'\n'; 1024 * 1024 + 1]).unwrap();
        wrong(&Source::default().with_file(&path));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_pipe_said_is_not_taken_back() {
        use std::{io::Write as _, os::fd::AsRawFd as _};

        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"PORT=9000\n").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let source = Source::default().with_file(&path);
        assert_eq!(text(&source, "PORT"), Some("9000"));
        let error = wrong(&Source::default().with_file(&path));
        assert!(error.contains("what was read from one is gone"), "{error}");
        let empty = Source::default().with_file("/dev/null");
        assert_eq!(empty.problems(), []);
    }

    #[test]
    fn a_flag_wins_over_everything() {
        let source = Source::from_iter([("PORT", "1")]).with_flag("--port", "PORT", "2");
        assert_eq!(text(&source, "PORT"), Some("2"));
        let origin = &source.find("PORT").unwrap().origin;
        assert_eq!(origin.to_string(), "--port");
    }

    #[test]
    fn debug_shows_no_value() {
        let source = Source::from_iter([("MCP_SERVICE_A_TOKEN", "hunter2")]);
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[test]
    fn of_the_environment_only_what_concerns_the_gateway_is_kept() {
        // Every test runner sets PATH.
        assert!(Source::environment().find("PATH").is_none());
    }
}

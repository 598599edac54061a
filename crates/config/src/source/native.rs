use std::{io, path::Path};

use super::{Entry, read_bytes};
use crate::{Origin, Problem, Source, Warning, native};

impl Source {
    /// Adds what a `bartizan.yaml` says, below what is there already: settings of the gateway,
    /// registries and services, with everything that variables can say of them, and their
    /// instances.
    ///
    /// The services come after those of `MCP_SERVICES`. Add the file after the environment and
    /// before files of servers: what came first wins. Texts may name variables as `${NAME}` or
    /// `${NAME:-default}`; they are looked up where this source came from.
    ///
    /// ```
    /// use bartizan_config::{Configuration, Source};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("bartizan.yaml");
    /// # let text = "
    /// # gateway: {port: 9000}
    /// # services: {user-service: {endpoint: 'http://localhost:8081', auth: {type: none}, timeout: 5s}}
    /// # ";
    /// # std::fs::write(&path, text)?;
    /// let source = Source::environment().with_config_file(&path);
    /// let configuration = Configuration::parse(&source)?;
    /// let service = configuration.service("user-service").unwrap();
    /// assert_eq!(service.timeout.as_secs(), 5);
    /// assert!(service.timeout.origin().to_string().starts_with("services.user-service.timeout ("));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Wrong is one that cannot be read, is larger than 1 MiB, or holds what is not understood or
    /// cannot be expanded; everything is named, by line and column.
    #[must_use]
    pub fn with_config_file(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match read_bytes(path) {
            Ok(bytes) => self.with_native(&bytes, path),
            Err(error) => self.without(path, &error),
        }
    }

    /// The same as [`Source::with_config_file`], but a file that does not exist adds nothing.
    #[must_use]
    pub fn with_config_file_if_present(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match read_bytes(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.without_native(path),
            Ok(bytes) => self.with_native(&bytes, path),
            Err(error) => self.without(path, &error),
        }
    }

    /// The same, with a warning about a file that its author took for the one at `path`.
    fn without_native(mut self, path: &Path) -> Self {
        let other = path.with_extension("yml");
        if other != path && other.is_file() {
            let (other, path) = (other.display(), path.display());
            let text = format!("{other} is passed over: only {path} is looked for");
            self.warnings.push(Warning::that_explains(text));
        }
        self
    }

    fn with_native(mut self, bytes: &[u8], path: &Path) -> Self {
        let read = native::read(bytes, path, &self);
        self.warnings.extend(read.warnings);
        self.miss(read.problems);
        for (name, text, origin) in read.variables {
            self.add_below(name, Entry { text, origin });
        }
        let twice = self.servers_twice(&read.services);
        self.miss(twice);
        self.servers.extend(read.services);
        self.listed.extend(read.listed);
        self
    }

    /// What is wrong with these services of another file because they are there already.
    fn servers_twice(&self, servers: &[(String, Origin)]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, origin) in servers {
            if let Some((_, other)) = self.servers.iter().find(|(known, _)| known == name) {
                let text = format!("{origin} is there already: {other}");
                problems.push(Problem::new(text));
            }
        }
        problems
    }
}

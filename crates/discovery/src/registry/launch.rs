use std::{collections::BTreeMap, fmt, hash::BuildHasher, path::PathBuf, sync::OnceLock};

/// The program that is an instance which no network leads to.
///
/// Its `Debug` form hides the values of the environment and the arguments, where tokens are
/// often given.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Launch {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// The directory to start it in.
    pub working_dir: Option<PathBuf>,
    /// Variables to start it with.
    pub env: BTreeMap<String, String>,
}

impl Launch {
    /// What is to be started: a program and its arguments.
    ///
    /// `None` when `command` is empty or names no program.
    #[must_use]
    pub fn new(command: Vec<String>) -> Option<Self> {
        if command.first().is_none_or(String::is_empty) {
            return None;
        }
        Some(Self {
            command,
            working_dir: None,
            env: BTreeMap::new(),
        })
    }

    /// The same program in another directory.
    #[must_use]
    pub fn working_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(directory.into());
        self
    }

    /// The same program with one more variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The address that stands for the program: another one as soon as anything about it
    /// changes, so that whoever keeps state by address does not take one program for another.
    ///
    /// Nobody can connect to it, and it is different in every process, so that nobody can try
    /// out what the environment may hold.
    pub(crate) fn uri(&self) -> String {
        static KEYS: OnceLock<std::hash::RandomState> = OnceLock::new();
        let keys = KEYS.get_or_init(std::hash::RandomState::new);
        format!("stdio://localhost/{:016x}", keys.hash_one(self))
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.command.first().map_or("", String::as_str);
        f.debug_struct("Launch")
            .field("program", &program)
            .field("arguments", &self.command.len().saturating_sub(1))
            .field("working_dir", &self.working_dir)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_the_debug_form() {
        let launch = Launch::new(vec!["server".into(), "--token=hunter2".into()]).unwrap();
        let text = format!("{:?}", launch.env("TOKEN", "hunter3"));
        assert!(!text.contains("hunter"), "{text}");
        assert!(text.contains("TOKEN"));
    }

    #[test]
    fn another_program_is_at_another_address() {
        let launch = |arg: &str| Launch::new(vec!["server".into(), arg.into()]).unwrap();
        assert_eq!(launch("a").uri(), launch("a").uri());
        assert_ne!(launch("a").uri(), launch("b").uri());
        assert_ne!(launch("a").uri(), launch("a").env("A", "1").uri());
        assert_eq!(Launch::new(vec![]), None);
        assert_eq!(Launch::new(vec![String::new()]), None);
    }
}

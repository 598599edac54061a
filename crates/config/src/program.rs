use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use bartizan_auth::Secret;

use crate::{
    Origin, Setting, StdioSettings,
    reader::{Reader, Scope},
    stdio::environment,
    table,
};

/// What holds for instances that are programs which a registry names.
///
/// Its `Debug` form shows no value of the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct ProgramSettings {
    /// The variables of their environment that were configured, which win over those of the
    /// registry; each name once, none empty, none with `=`.
    pub env: Vec<(String, Setting<Secret>)>,
    /// The variables that they have of this process's environment, from an allow-list of harmless
    /// ones; all others win.
    pub inherited: Vec<(OsString, OsString)>,
    /// The directory that they are started in, whatever the registry says; that of the registry
    /// or of this process without.
    pub working_dir: Option<Setting<PathBuf>>,
    /// How long one is kept when nobody talks to it.
    pub idle_timeout: Setting<Duration>,
    /// How long one lives at most.
    pub max_lifetime: Setting<Duration>,
}

impl ProgramSettings {
    pub(crate) fn read(reader: &mut Reader<'_>, scope: &Scope) -> Self {
        Self {
            env: environment(reader, scope),
            inherited: reader.source().inherited().to_vec(),
            working_dir: reader.optional(scope, &table::WORKING_DIR),
            idle_timeout: reader.setting(scope, &table::IDLE_TIMEOUT),
            max_lifetime: reader.setting(scope, &table::MAX_LIFETIME),
        }
    }

    /// What the program `command` is as a process of its own, with the arguments, the variables
    /// and the directory that `origin`, its registry, gives it.
    ///
    /// A variable that no environment can hold is left out: its name is empty or holds `=`, or
    /// one of both holds a zero byte.
    #[must_use]
    pub fn process<'a>(
        &self,
        command: &str,
        args: impl IntoIterator<Item = &'a str>,
        env: impl IntoIterator<Item = (&'a str, &'a str)>,
        working_dir: Option<PathBuf>,
        origin: &Origin,
    ) -> StdioSettings {
        let mut all = self.env.clone();
        for (name, value) in env {
            let is_sound = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
            if is_sound && all.iter().all(|(known, _)| known != name) {
                all.push((
                    name.to_owned(),
                    Setting::new(Secret::new(value), origin.clone()),
                ));
            }
        }
        let args = args.into_iter().map(str::to_owned).collect();
        StdioSettings {
            command: Setting::new(command.to_owned(), origin.clone()),
            args: Setting::new(args, origin.clone()),
            env: all,
            inherited: self.inherited.clone(),
            working_dir: self
                .working_dir
                .clone()
                .or_else(|| Some(Setting::new(working_dir?, origin.clone()))),
            idle_timeout: self.idle_timeout.clone(),
            max_lifetime: self.max_lifetime.clone(),
        }
    }
}

impl fmt::Debug for ProgramSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramSettings")
            .field("env", &self.env)
            .field("inherited", &self.inherited)
            .field("working_dir", &self.working_dir)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_lifetime", &self.max_lifetime)
            .finish()
    }
}

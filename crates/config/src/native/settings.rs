use bartizan_document::{Member, Value};

use super::{
    file::File,
    key::{Keys, Target},
    text::text,
};
use crate::{
    Variable,
    reader::{Scope, file_twin, quoted},
};

/// A mapping of settings that is being read: that of the gateway, or that of a service.
pub(super) struct Settings<'k> {
    pub(super) keys: &'k Keys,
    pub(super) scope: &'k Scope,
    /// The key of the mapping.
    pub(super) root: String,
    /// Keys that are read elsewhere, for whoever misspells one.
    pub(super) more: &'k [&'k str],
    /// The variables that have no meaning here, and why.
    pub(super) idle: (&'k [&'static Variable], &'k str),
}

impl Settings<'_> {
    /// Reads a key that stands below these `groups`.
    pub(super) fn read(&self, file: &mut File<'_>, groups: &[&str], member: &Member<'_>) {
        let path: Vec<&str> = groups.iter().copied().chain([&*member.key]).collect();
        let origin = file.origin(self.shown(&path), member.place);
        match (&member.value.value, self.keys.find(&path)) {
            (Value::Map(_), _) if self.keys.is_group(&path) => {
                for member in file.members(&member.value, &origin) {
                    self.read(file, &path, member);
                }
            }
            (_, Some(target)) => self.set(file, target, member, &path),
            (Value::Null, None) if self.keys.is_group(&path) => {}
            (_, None) if self.keys.is_group(&path) => {
                file.wrong(&origin, "must be a mapping of keys to values");
            }
            (_, None) => {
                // Guessing takes time, and nobody would read it.
                let guess = || self.keys.meant(&self.bare(&path), self.more);
                let meant = if file.is_full() { None } else { guess() };
                let meant = meant.map(|it| format!(", did you mean {it}?"));
                let what = format!("is no key that is known{}", meant.unwrap_or_default());
                file.wrong(&origin, &what);
            }
        }
    }

    fn set(&self, file: &mut File<'_>, target: Target, member: &Member<'_>, path: &[&str]) {
        let origin = file.origin(self.shown(path), member.place);
        let (idle, why) = self.idle;
        if idle.iter().any(|it| it.name == target.variable.name) {
            return file.wrong(&origin, why);
        }
        let name = self.scope.name(target.variable);
        let full = if target.is_file {
            file_twin(&name)
        } else {
            name.clone()
        };
        if !file.say(&name, &origin, member.place) || file.is_set(self.scope, target.variable) {
            return;
        }
        if let Some(text) = text(file, target, &member.value, &origin, &full) {
            file.set(full, text, origin);
        }
    }

    /// The keys, of which the last may be a variable with the name of the service in it.
    fn bare<'p>(&self, path: &[&'p str]) -> Vec<&'p str> {
        let bare = |key: &'p str| {
            let rest = key.strip_prefix("MCP_SERVICE_")?;
            rest.strip_prefix(self.scope.prefix())?.strip_prefix('_')
        };
        path.iter().map(|key| bare(key).unwrap_or(key)).collect()
    }

    /// The key for people.
    pub(super) fn shown(&self, path: &[&str]) -> String {
        /// No key that is known is longer.
        const LONGEST: usize = 80;

        let mut shown = self.root.clone();
        for key in path {
            shown.push('.');
            if key.len() > LONGEST {
                shown.push_str(&quoted(key));
            } else {
                shown.push_str(key);
            }
        }
        shown
    }
}

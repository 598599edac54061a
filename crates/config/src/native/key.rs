//! What a variable is called in a `bartizan.yaml`.

use std::collections::BTreeMap;

use crate::{
    Variable,
    suggest::closest,
    table::{self, variables},
    variable::Section,
};

/// The words that keys are grouped by where they are shown; any beginning of a key will do where
/// they are read.
const GROUPS: [&str; 9] = [
    "circuit_breaker",
    "docker",
    "drain",
    "kubernetes",
    "log",
    "rate_limit",
    "retry",
    "session",
    "tls",
];

/// The groups that hold all of a chapter, however its keys begin.
const CHAPTERS: [(&str, Section, bool); 3] = [
    ("auth", Section::Authentication, true),
    ("health", Section::Health, true),
    ("mcp", Section::Mcp, false),
];

/// The variables that no key sets: `services` is more than one, and where two are for one setting
/// the key sets the other.
const ELSEWHERE: [&str; 3] = ["HOST", "MCP_GATEWAY_PORT", "MCP_SERVICES"];

/// What the names of variables begin with that keys leave out.
const PREFIXES: [&str; 3] = ["MCP_SERVICE_<NAME>_", "MCP_GATEWAY_", "MCP_"];

/// The key of a variable within `gateway` or within a service, in one word: its name in small
/// letters without what all have in common.
fn word(variable: &Variable) -> String {
    let name = variable.family().unwrap_or(variable.name);
    let name = name.trim_end_matches('_');
    let own = PREFIXES.iter().find_map(|it| name.strip_prefix(it));
    let word = own.unwrap_or(name).to_ascii_lowercase();
    match word.strip_prefix("cb_") {
        Some(rest) => format!("circuit_breaker_{rest}"),
        // The names of headers are many.
        None if word == "header" => "headers".to_owned(),
        None => word,
    }
}

impl Variable {
    /// The key that stands for the variable in a `bartizan.yaml`, from its root:
    /// `services.<name>.auth.token` for `MCP_SERVICE_<NAME>_TOKEN`.
    #[must_use]
    pub fn key(&self) -> String {
        if self.name == table::SERVICES.name {
            return "services".to_owned();
        }
        let word = word(self);
        let of_a_service = self.is_of_a_service();
        let root = if of_a_service {
            "services.<name>"
        } else {
            "gateway"
        };
        let chapter = CHAPTERS
            .iter()
            .find(|(_, section, service)| *section == self.section && *service == of_a_service);
        if let Some((group, _, _)) = chapter {
            let own = word.strip_prefix(&format!("{group}_"));
            return format!("{root}.{group}.{}", own.unwrap_or(&word));
        }
        let group = GROUPS
            .iter()
            .find_map(|group| Some((group, word.strip_prefix(group)?.strip_prefix('_')?)));
        match group {
            Some((group, own)) => format!("{root}.{group}.{own}"),
            None => format!("{root}.{word}"),
        }
    }
}

/// What a key stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) variable: &'static Variable,
    /// Whether the key names the file that holds the value.
    pub(super) is_file: bool,
}

/// The keys of one kind of mapping: that of the gateway, or that of a service.
#[derive(Debug)]
pub(super) struct Keys {
    words: BTreeMap<String, Target>,
    of_a_service: bool,
}

impl Keys {
    pub(super) fn gateway() -> Self {
        Self::new(false)
    }

    pub(super) fn service() -> Self {
        Self::new(true)
    }

    fn new(of_a_service: bool) -> Self {
        let mut words = BTreeMap::new();
        let is_ours = |variable: &&&Variable| {
            variable.is_of_a_service() == of_a_service
                && variable.family().is_none()
                && !ELSEWHERE.contains(&variable.name)
        };
        for &variable in variables().iter().filter(is_ours) {
            let word = word(variable);
            if variable.is_secret() {
                let target = Target {
                    variable,
                    is_file: true,
                };
                words.insert(format!("{word}_file"), target);
            }
            let target = Target {
                variable,
                is_file: false,
            };
            words.insert(word, target);
        }
        Self {
            words,
            of_a_service,
        }
    }

    /// What the key at the end of these stands for.
    pub(super) fn find(&self, path: &[&str]) -> Option<Target> {
        let whole = self.words.get(&path.join("_"));
        let of_chapter = || {
            let section = self.chapter(path.first()?)?;
            let target = self.words.get(&path.get(1..)?.join("_"))?;
            (target.variable.section == section).then_some(target)
        };
        whole.or_else(of_chapter).copied()
    }

    /// Whether keys can stand below these.
    pub(super) fn is_group(&self, path: &[&str]) -> bool {
        let chapter = path.first().and_then(|first| self.chapter(first));
        let begins = |words: &[&str], section: Option<Section>| {
            let stem = format!("{}_", words.join("_"));
            let fits = |target: &Target| section.is_none_or(|it| it == target.variable.section);
            let mut all = self.words.iter();
            all.any(|(word, target)| word.starts_with(&stem) && fits(target))
        };
        match chapter {
            Some(_) if path.len() == 1 => true,
            Some(section) if begins(&path[1..], Some(section)) => true,
            _ => begins(path, None),
        }
    }

    /// The key that was probably meant by the last of these. `more` are keys besides.
    pub(super) fn meant(&self, path: &[&str], more: &[&str]) -> Option<String> {
        let (key, groups) = path.split_last()?;
        // What knows the variables writes them.
        let upper = key.to_ascii_uppercase();
        let variable = self.words.values().find(|target| {
            let name = target.variable.name;
            let mut own = PREFIXES.iter().map(|it| name.strip_prefix(it));
            name == upper || own.any(|it| it == Some(&upper))
        });
        if let Some(target) =
            variable.filter(|target| target.variable.key().rsplit('.').next() != Some(*key))
        {
            let key = target.variable.key();
            let root = if self.of_a_service { 2 } else { 1 };
            return Some(key.split('.').skip(root).collect::<Vec<_>>().join("."));
        }
        // What instances and files of servers have in its place.
        if self.of_a_service && path == ["url"] {
            return Some("endpoint".to_owned());
        }
        let within = groups.join("_");
        let section = groups.first().and_then(|first| self.chapter(first));
        let mut candidates: Vec<String> = Vec::new();
        for (word, target) in &self.words {
            if groups.is_empty() {
                candidates.push(word.clone());
            } else if let Some(own) = word
                .strip_prefix(&within)
                .and_then(|it| it.strip_prefix('_'))
            {
                candidates.push(own.to_owned());
            } else if groups.len() == 1 && Some(target.variable.section) == section {
                candidates.push(word.clone());
            }
        }
        if groups.is_empty() {
            let chapters = CHAPTERS.iter().filter(|it| it.2 == self.of_a_service);
            candidates.extend(chapters.map(|it| it.0.to_owned()));
            candidates.extend(
                GROUPS
                    .iter()
                    .filter(|it| self.is_group(&[it]))
                    .map(|it| (*it).to_owned()),
            );
            candidates.extend(more.iter().map(|it| (*it).to_owned()));
        }
        closest_key(key, candidates)
    }

    fn chapter(&self, group: &str) -> Option<Section> {
        let found = CHAPTERS
            .iter()
            .find(|(word, _, service)| *word == group && *service == self.of_a_service);
        found.map(|(_, section, _)| *section)
    }
}

/// The key that was probably meant. Keys are shorter than variables, which slips are measured by,
/// and two letters that changed places are two edits: so all are taken for a little longer.
pub(crate) fn closest_key(
    key: &str,
    candidates: impl IntoIterator<Item = String>,
) -> Option<String> {
    let longer = |word: &str| format!("key_{word}");
    let candidates = candidates.into_iter().map(|it| longer(&it));
    let meant = closest(&longer(key), candidates)?;
    Some(meant.strip_prefix("key_")?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_variable_has_a_key_of_its_own_that_leads_to_it() {
        let (gateway, service) = (Keys::gateway(), Keys::service());
        let mut seen = HashSet::new();
        for variable in variables() {
            let key = variable.key();
            // Two pairs of variables are for one setting each.
            let twin = ["HOST", "MCP_GATEWAY_PORT"].contains(&variable.name);
            assert!(twin || seen.insert(key.clone()), "{key}");
            let path: Vec<_> = key.split('.').collect();
            let found = match &path[..] {
                ["gateway", path @ ..] => gateway.find(path),
                ["services", "<name>", path @ ..] => service.find(path),
                _ => None,
            };
            match found {
                Some(found) => assert!(twin || found.variable.name == variable.name, "{key}"),
                None => assert!(
                    key == "services" || variable.family().is_some(),
                    "{key} leads nowhere"
                ),
            }
        }
    }

    #[test]
    fn keys_are_what_people_would_call_them() {
        for (variable, key) in [
            (&table::PORT, "gateway.port"),
            (&table::GATEWAY_PORT, "gateway.port"),
            (&table::LOG_LEVEL, "gateway.log.level"),
            (&table::RETRY_JITTER, "gateway.retry.jitter"),
            (&table::SESSION_KEYS, "gateway.mcp.session_keys"),
            (&table::AUTH_TYPE, "services.<name>.auth.type"),
            (&table::TOKEN, "services.<name>.auth.token"),
            (&table::HEALTH_PATH, "services.<name>.health.path"),
            (
                &table::HEALTHY_THRESHOLD,
                "services.<name>.health.healthy_threshold",
            ),
            (&table::CB_WINDOW, "services.<name>.circuit_breaker.window"),
            (&table::RATE_LIMIT_RPM, "services.<name>.rate_limit.rpm"),
            (&table::SERVICE_ENV, "services.<name>.env"),
            (&table::SERVICE_HEADER, "services.<name>.headers"),
            (&table::SERVICES, "services"),
            (&table::REGISTRY_FILE, "gateway.registry_file"),
        ] {
            assert_eq!(variable.key(), key, "{}", variable.name);
        }
    }

    #[test]
    fn what_was_meant_is_found() {
        let (gateway, service) = (Keys::gateway(), Keys::service());
        for (path, meant) in [
            (&["auth", "tokn"][..], Some("token")),
            (&["tiemout"], Some("timeout")),
            (&["circuit_braker"], Some("circuit_breaker")),
            (&["cb_window"], Some("circuit_breaker.window")),
            (&["MCP_SERVICE_A"], None),
            (&["TIMEOUT"], Some("timeout")),
            (&["instanses"], Some("instances")),
            (&["url"], Some("endpoint")),
            (&["rate_limit", "brst"], Some("burst")),
        ] {
            let found = service.meant(path, &["instances"]);
            assert_eq!(found.as_deref(), meant, "{path:?}");
        }
        let meant = gateway.meant(&["MCP_GATEWAY_LOG_LEVEL"], &[]);
        assert_eq!(meant.as_deref(), Some("log.level"));
        assert_eq!(
            gateway.meant(&["cors"], &[]).as_deref(),
            Some("cors_origins")
        );
    }
}

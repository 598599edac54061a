use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    NativeRegistry, Origin, Problem, RegisteredKind, Setting,
    reader::{Reader, Scope},
    table,
};

/// Where the documented gateway looks for a `registry.yaml` that nobody names.
const USUAL_PLACE: &str = "/app/config/registry.yaml";

/// A file that lists services and their instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// The file.
    pub path: Setting<PathBuf>,
    /// What it holds.
    pub format: RegistryFormat,
    /// How long from one look at it to the next, where nothing tells that it changed.
    pub poll_interval: Setting<Duration>,
    /// Whether the file need not exist, because the first registration makes it.
    pub may_be_missing: bool,
    /// What it lists, of [`RegistryFormat::Native`] and of no other.
    pub listed: Option<NativeRegistry>,
}

/// What the file of a registry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegistryFormat {
    /// `registry.yaml`: servers by their namespaces, which are plain HTTP.
    Yaml,
    /// `registry.json`: templates and their instances, which are MCP servers.
    Json,
    /// `bartizan.yaml`: services with their instances, which was read with the configuration.
    Native,
}

impl RegistryFormat {
    /// What the file is usually called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yaml => "registry.yaml",
            Self::Json => "registry.json",
            Self::Native => "bartizan.yaml",
        }
    }
}

impl RegistrySettings {
    /// What the instances of a service of this registry speak.
    #[must_use]
    pub fn kind(&self, service: &str) -> RegisteredKind {
        match self.format {
            RegistryFormat::Yaml => RegisteredKind::Rest,
            RegistryFormat::Json => RegisteredKind::Mcp,
            RegistryFormat::Native => {
                let kind = self.listed.as_ref().and_then(|it| it.kind(service));
                kind.unwrap_or(RegisteredKind::Rest)
            }
        }
    }

    /// The registries that are configured, each file once. Where two list one service, the first
    /// counts.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Vec<Self> {
        let scope = &Scope::gateway();
        let yaml = reader.optional(scope, &table::REGISTRY_PATH);
        let yaml = yaml.or_else(|| usual_place(reader));
        let json = reader.optional(scope, &table::REGISTRY_FILE);
        let mut found: Vec<(Setting<PathBuf>, RegistryFormat)> = Vec::new();
        found.extend(yaml.map(|path| (path, RegistryFormat::Yaml)));
        found.extend(json.map(|path| (path, RegistryFormat::Json)));
        if let [(one, _), (other, _)] = &found[..]
            && one == other
        {
            reader.problem(Problem::new(
                "REGISTRY_PATH and MCP_GATEWAY_REGISTRY_FILE name the same file",
            ));
        }
        let mut registries = Vec::new();
        // Whoever may write to a registry must not take a service of the operator's own file away.
        for (listed, origin) in reader.source().listed() {
            let Origin::Native { path, .. } = origin else {
                continue;
            };
            registries.push(Self {
                path: Setting::new(path.clone(), origin.clone()),
                format: RegistryFormat::Native,
                poll_interval: reader.setting(scope, &table::POLL_INTERVAL),
                may_be_missing: false,
                listed: Some(listed.clone()),
            });
        }
        for (path, format) in found {
            let may_be_missing = format == RegistryFormat::Json;
            check(reader, &path, may_be_missing);
            registries.push(Self {
                path,
                format,
                poll_interval: reader.setting(scope, &table::POLL_INTERVAL),
                may_be_missing,
                listed: None,
            });
        }
        registries
    }
}

/// The documented default, which counts for a process only where there is such a file.
fn usual_place(reader: &Reader<'_>) -> Option<Setting<PathBuf>> {
    let is_there = reader.source().is_of_the_process() && Path::new(USUAL_PLACE).is_file();
    let why = Origin::Default("the documented place, where there is a file");
    is_there.then(|| Setting::new(PathBuf::from(USUAL_PLACE), why))
}

/// Puts a file that cannot be read into the one list of everything that is wrong.
fn check(reader: &mut Reader<'_>, path: &Path, may_be_missing: bool) {
    let shown = path.display();
    if shown.to_string().contains(char::is_control) {
        let problem = Problem::new(format!("Registry file cannot be read: {shown}"));
        return reader.problem(
            problem
                .detail("its name holds control characters")
                .certain(),
        );
    }
    match File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => {
            let problem = Problem::new(format!("Registry file cannot be read: {shown}"));
            reader.problem(problem.detail("it is a directory").certain());
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !may_be_missing {
                let problem = Problem::new(format!("Registry file not found: {shown}"));
                reader.problem(problem.certain());
            }
        }
        Err(error) => {
            let problem = Problem::new(format!("Registry file cannot be read: {shown}"));
            reader.problem(problem.detail(error.to_string()).certain());
        }
    }
}

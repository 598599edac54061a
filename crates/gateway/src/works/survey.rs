use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_clock::Clock;
use bartizan_config::{Configuration, Errors, ServiceSettings};

use super::ground::Ground;
use crate::{StartError, plan::Plan, shared::Lasting};

/// What the registries of a configuration list now, for who wants to know before anything is
/// served.
///
/// ```
/// use bartizan_config::{Configuration, Source};
/// use bartizan_gateway::Survey;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("registry.json");
/// let listed = r#"{"templates": {"notes": {"instances": [{"id": "a", "endpoint": "http://a:1"}]}}}"#;
/// # std::fs::write(&path, listed)?;
/// let source = Source::from_iter([
///     ("MCP_GATEWAY_REGISTRY_FILE", path.to_str().unwrap()),
///     ("MCP_SERVICE_NOTES_TIMEOUT", "soon"),
/// ]);
/// let configuration = Configuration::parse(&source)?;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let survey = Survey::of(&configuration)?;
/// assert!(survey.services.is_empty());
/// assert!(survey.wrong["notes"].to_string().contains("MCP_SERVICE_NOTES_TIMEOUT"));
/// # Ok::<(), bartizan_gateway::StartError>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Survey {
    /// The settings of the services that can be served.
    pub services: Vec<ServiceSettings>,
    /// What is wrong with the settings of others. A gateway that starts leaves them out; one that
    /// goes on under another configuration refuses that for those that it has.
    pub wrong: BTreeMap<String, Errors>,
    /// Why others are left out whatever their settings.
    pub left_out: BTreeMap<String, String>,
    /// What else is odd, such as registries that say what means nothing.
    pub warnings: Vec<String>,
    /// How much each file lists.
    pub files: Vec<SurveyedFile>,
}

/// How much a registry lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SurveyedFile {
    /// Where it is.
    pub path: PathBuf,
    /// How many services it lists, those that are left out included.
    pub services: usize,
    /// How many instances these have.
    pub instances: usize,
}

impl Survey {
    /// Reads the registries of `configuration`, and builds what they list as a gateway would.
    ///
    /// # Errors
    ///
    /// When a registry cannot be used, or outside a tokio runtime.
    pub fn of(configuration: &Configuration) -> Result<Self, StartError> {
        tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let lasting = Lasting::new(Clock::counter());
        let ground = Ground::new(configuration, lasting.clock())?;
        let mut survey = Self::default();
        survey.look_at_files(&ground, configuration);
        let (listings, left_out) = ground.registries.listings_and_left_out();
        for service in left_out {
            match service.name() {
                Some(name) => {
                    survey.left_out.insert(name.to_owned(), service.to_string());
                }
                None => survey.warnings.push(service.to_string()),
            }
        }
        for listing in listings {
            match configuration.registered(&listing.registered()) {
                Ok((settings, warnings)) => {
                    survey
                        .warnings
                        .extend(warnings.iter().map(ToString::to_string));
                    let plan = Plan {
                        settings: Arc::new(settings),
                        listing: Some(Arc::new(listing)),
                    };
                    survey.build(&ground, &plan, &lasting);
                }
                Err(errors) => {
                    survey.wrong.insert(listing.name.to_string(), errors);
                }
            }
        }
        Ok(survey)
    }

    fn look_at_files(&mut self, ground: &Ground, configuration: &Configuration) {
        // What is odd about one of those is among the warnings of the configuration.
        let is_of_it = |path: &Path| {
            let mut registries = configuration.registries.iter();
            registries.any(|it| it.listed.is_some() && it.path.value() == path)
        };
        for source in ground.registries.sources() {
            let Some(path) = source.path else {
                continue;
            };
            let registry = &source.state.registry;
            let shown = path.display();
            if !is_of_it(&path) {
                let warnings = registry.warnings.iter();
                self.warnings
                    .extend(warnings.map(|it| format!("{shown}: {it}")));
            }
            self.files.push(SurveyedFile {
                services: registry.services.len(),
                instances: registry.instance_count(),
                path: path.to_path_buf(),
            });
        }
    }

    fn build(&mut self, ground: &Ground, plan: &Plan, lasting: &Lasting) {
        match ground.build(plan, None, lasting) {
            Ok(_) => self.services.push(ServiceSettings::clone(&plan.settings)),
            Err(error) => {
                let (name, why) = (&plan.settings.name, format!("{error}; it is left out"));
                self.left_out.insert(name.clone(), why);
            }
        }
    }
}

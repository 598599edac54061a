use bartizan_config::{Errors, ServiceSettings, Severity, reference_markdown};
use bartizan_gateway::{Gateway, Survey};

use super::{Failure, configuration, print, run};
use crate::cli::Source;

/// Validates the configuration as `serve` would, and says what it means.
///
/// A service of a registry with settings that are wrong fails it, although a gateway would start
/// without the service: whoever asks wants to know.
pub(crate) fn check(source: &Source) -> Result<(), Failure> {
    let configuration = configuration(source)?;
    // What only shows when the stacks are assembled counts as well; nothing is bound.
    let survey = run(async {
        Gateway::new(&configuration).map(drop)?;
        Survey::of(&configuration)
    })??;
    let listed = survey.services.iter().map(|it| it.name.as_str());
    let others = survey.left_out.keys().chain(survey.wrong.keys());
    let listed: Vec<_> = listed.chain(others.map(String::as_str)).collect();
    let configuration = match configuration.registries.is_empty() {
        true => configuration,
        false => configuration.knowing_listed(&listed),
    };
    let left_out = survey.left_out.into_values();
    let warnings: Vec<_> = left_out.chain(survey.warnings).collect();
    if let Some(wrong) = survey.wrong.into_values().reduce(Errors::and) {
        let own = configuration.warnings.iter();
        let own = own.filter(|it| it.severity() == Severity::Warning);
        let warnings = own.map(ToString::to_string).chain(warnings).collect();
        return Err(Failure::Listed { wrong, warnings });
    }
    let summary = survey
        .files
        .iter()
        .fold(configuration.summary(), |it, file| {
            it.listing(&file.path, file.services, file.instances)
        });
    let mut text = summary.to_string();
    for warning in &warnings {
        text.push_str("\nwarning: ");
        text.push_str(warning);
    }
    print(&text)
}

/// Shows the effective stack of a service, or the gateway's own settings.
pub(crate) fn explain(source: &Source, service: Option<&str>) -> Result<(), Failure> {
    let configuration = configuration(source)?;
    let Some(service) = service else {
        return print(&configuration.explain_gateway());
    };
    let mut registered: Vec<ServiceSettings> = Vec::new();
    if configuration.explain(service).is_err() && !configuration.registries.is_empty() {
        let mut survey = run(async { Survey::of(&configuration) })??;
        if let Some(wrong) = survey.wrong.remove(service) {
            return Err(wrong.into());
        }
        if let Some(why) = survey.left_out.remove(service) {
            return Err(Failure::LeftOut(why));
        }
        registered = survey.services;
    }
    print(&configuration.explain_with(service, &registered)?)
}

/// Prints the reference of all variables.
pub(crate) fn reference() -> Result<(), Failure> {
    print(&reference_markdown().trim_end())
}

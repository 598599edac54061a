use bartizan_config::reference_markdown;
use bartizan_gateway::Gateway;

use super::{Failure, configuration, print, run};
use crate::cli::Source;

/// Validates the configuration as `serve` would, and says what it means.
pub(crate) fn check(source: &Source) -> Result<(), Failure> {
    let configuration = configuration(source)?;
    // What only shows when the stacks are assembled counts as well; nothing is bound.
    run(async { Gateway::new(&configuration).map(drop) })??;
    print(&configuration.summary())
}

/// Shows the effective stack of a service, or the gateway's own settings.
pub(crate) fn explain(source: &Source, service: Option<&str>) -> Result<(), Failure> {
    let configuration = configuration(source)?;
    match service {
        Some(service) => print(&configuration.explain(service)?),
        None => print(&configuration.explain_gateway()),
    }
}

/// Prints the reference of all variables.
pub(crate) fn reference() -> Result<(), Failure> {
    print(&reference_markdown().trim_end())
}

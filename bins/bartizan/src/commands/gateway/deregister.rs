use bartizan_config::printable;
use http::{Method, StatusCode};
use serde_json::json;

use super::{
    Trouble,
    place::{self, Target},
    remote::{Remote, segment},
};
use crate::{cli, commands::Failure};

/// Takes an instance out of a template.
pub(super) async fn deregister(
    source: &cli::Source,
    arguments: &cli::Deregister,
) -> Result<(), Failure> {
    let (target, report) = place::find(source, &arguments.place).await?;
    let (template, id) = (arguments.template.as_str(), arguments.id.as_str());
    match &target {
        Target::Gateway { remote, .. } => {
            if !remove(remote, template, id).await? {
                let (template, id) = (printable(template), printable(id));
                return Err(Trouble::NotFound { template, id }.into());
            }
        }
        Target::File { store, .. } => {
            let removed = store.deregister(template, id).await;
            removed.map_err(Trouble::from)?;
        }
    }
    if report.json {
        return report.json(&target, json!({ "template": template, "id": id }));
    }
    report.say(&format_args!(
        "deregistered instance {} of template {} with {}",
        printable(id),
        printable(template),
        target.name()
    ))
}

/// Has a gateway take an instance out; false when there is none.
pub(super) async fn remove(remote: &Remote, template: &str, id: &str) -> Result<bool, Trouble> {
    let path = format!("/gateway/deregister/{}/{}", segment(template), segment(id));
    let answer = remote.ask_as_operator(&Method::DELETE, &path, None).await?;
    match answer.status {
        StatusCode::NOT_FOUND => Ok(false),
        status if status.is_success() => Ok(true),
        _ => Err(remote.refused(&answer)),
    }
}

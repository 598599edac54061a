//! Where the instances of a service are, as settings and registries list them.

use std::sync::Arc;

use bartizan_config::{McpTransport, ServiceSettings};
use bartizan_discovery::{Entry, Instance, Instances, InvalidInstance, Transport};

use crate::{plan::Plan, registries::Listing, service::source};

/// Where a service is, for people.
pub(in crate::service) fn text(settings: &ServiceSettings, listing: Option<&Listing>) -> String {
    if let Some(listing) = listing {
        let places = listing.entries.iter().map(place);
        return places.collect::<Vec<_>>().join(",");
    }
    if settings.kind.stdio().is_some() {
        return process_id(settings);
    }
    if let Some(text) = source::text(settings) {
        return text;
    }
    let endpoints: Vec<_> = settings
        .endpoints
        .iter()
        .map(bartizan_config::Endpoint::as_str)
        .collect();
    endpoints.join(",")
}

/// Where a listed instance is, for people: a program is where the gateway is.
pub(in crate::service) fn place(entry: &Entry) -> String {
    let instance = &entry.instance;
    match entry.transport {
        Transport::Stdio => format!("stdio://{}", instance.id()),
        _ => instance.uri().to_string().trim_end_matches('/').to_owned(),
    }
}

/// What the only instance of a service that is a program is called.
fn process_id(settings: &ServiceSettings) -> String {
    format!("stdio://{}", settings.name)
}

/// The instances that the configuration or registries list.
pub(super) fn instances(plan: &Plan) -> Result<Instances, InvalidInstance> {
    let settings = &*plan.settings;
    if let Some(listing) = &plan.listing {
        if let Some(mcp) = settings.kind.mcp() {
            let speak_sse = *mcp.transport == McpTransport::Sse;
            let both = listing.entries.iter().zip(&*listing.instances);
            let placed = both.map(|(entry, instance)| placed(entry, instance, speak_sse));
            return placed.collect();
        }
        if !listing.has_programs() {
            return Ok(Arc::clone(&listing.instances));
        }
        let service = &*listing.name;
        tracing::warn!(
            service,
            "programs speak MCP, which this service does not: left out"
        );
        let both = listing.entries.iter().zip(&*listing.instances);
        let reached = both.filter(|(entry, _)| entry.transport != Transport::Stdio);
        return Ok(reached.map(|(_, instance)| instance.clone()).collect());
    }
    if settings.kind.stdio().is_some() {
        // Nobody connects to the address; it is no place that the client would go to.
        let process = Instance::new("stdio://localhost")?.with_id(process_id(settings))?;
        return Ok(Arc::new([process]));
    }
    if source::is_found(settings) {
        return Ok(Arc::new([]));
    }
    let endpoints = settings.endpoints.iter();
    endpoints
        .map(|endpoint| Instance::new(endpoint.as_str())?.with_weight(endpoint.weight().get()))
        .collect()
}

/// A listed server of MCP where it takes messages: registries name hosts and ports, and mean the
/// path that every server has its own at.
fn placed(
    entry: &Entry,
    instance: &Instance,
    speak_sse: bool,
) -> Result<Instance, InvalidInstance> {
    let path = match entry.transport {
        Transport::Http if !speak_sse => "/mcp",
        Transport::Http | Transport::Sse => "/sse",
        _ => return Ok(instance.clone()),
    };
    if instance.uri().path() != "/" {
        return Ok(instance.clone());
    }
    let uri = instance.uri().to_string();
    let at = Instance::new(format!("{}{path}", uri.trim_end_matches('/')))?;
    let at = at.with_id(Arc::clone(instance.id()))?;
    let at = at.with_weight(instance.weight())?;
    let metadata = instance.metadata().iter();
    Ok(metadata.fold(at, |at, (key, value)| {
        at.with_metadata(Arc::clone(key), Arc::clone(value))
    }))
}

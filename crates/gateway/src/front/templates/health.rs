//! `GET health`: how every instance of a template is at this moment.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_balance::EndpointSnapshot;
use bartizan_config::McpTransport;
use bartizan_discovery::Transport;
use bartizan_health::{Checker, Health};
use bytes::Bytes;
use serde::Serialize;

use super::{
    problem::Problem,
    types::{InstanceHealth, TemplateHealth},
    visit::Visit,
};
use crate::registries::Listing;

/// The score from which an instance that nobody probes is said to be well: most of its calls.
const WELL: u8 = 50;

pub(super) async fn health(visit: &Visit) -> Result<Bytes, Problem> {
    let service = &visit.service;
    service.probe_now().await;
    let listing = service.listing();
    let configured = transport(visit);
    let instances: BTreeMap<_, _> = service
        .instances()
        .iter()
        .map(|snapshot| {
            let about = About {
                visit,
                listing: listing.as_ref(),
                configured,
            };
            (snapshot.id.to_string(), about.instance(snapshot))
        })
        .collect();
    let healthy = instances.values().filter(|it| it.healthy).count();
    Ok(json(&TemplateHealth {
        template_name: visit.template(),
        total_instances: instances.len(),
        healthy_instances: healthy,
        health_percentage: percentage(healthy, instances.len()),
        instances,
    }))
}

fn json(value: &impl Serialize) -> Bytes {
    // Texts, numbers and maps of them can always be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// To one decimal.
fn percentage(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 * 1000.0 / whole as f64).round() / 10.0
}

/// What instances are reached by that the configuration lists.
fn transport(visit: &Visit) -> Transport {
    let settings = visit.service.settings();
    match settings.kind.mcp().map(|mcp| *mcp.transport) {
        Some(McpTransport::Stdio) => Transport::Stdio,
        Some(McpTransport::Sse) => Transport::Sse,
        Some(McpTransport::StreamableHttp) | None => Transport::Http,
    }
}

struct About<'a> {
    visit: &'a Visit,
    listing: Option<&'a Arc<Listing>>,
    configured: Transport,
}

impl About<'_> {
    fn instance(&self, snapshot: &EndpointSnapshot) -> InstanceHealth {
        let entry = self.listing.and_then(|it| it.entry(&snapshot.id));
        let transport = entry.map_or(self.configured, |entry| entry.transport);
        let service = &self.visit.service;
        let (status, consecutive_failures, last_health_check) = match service.checker() {
            Some(checker) => self.probed(checker, snapshot),
            None => (by_calls(snapshot), 0, None),
        };
        let status = match snapshot.ejected_for {
            Some(_) => Health::Unhealthy,
            None => status,
        };
        InstanceHealth {
            healthy: status == Health::Healthy,
            endpoint: (transport != Transport::Stdio).then(|| service.place(&snapshot.id)),
            transport: transport.as_str(),
            status: status.as_str(),
            consecutive_failures,
            last_health_check,
        }
    }

    /// What probes say. Until they have said the same often enough, the last one counts.
    fn probed(
        &self,
        checker: &Checker,
        snapshot: &EndpointSnapshot,
    ) -> (Health, u32, Option<String>) {
        let Some(state) = checker.state(&snapshot.id) else {
            return (snapshot.health, 0, None);
        };
        let summary = state.summary();
        let status = match state.health() {
            Health::Unknown if summary.consecutive_failures > 0 => Health::Unhealthy,
            Health::Unknown if summary.consecutive_successes > 0 => Health::Healthy,
            health => health,
        };
        let clock = self.visit.shared.clock();
        let last = summary.last_probe.map(|at| {
            let at = clock.wall() - (clock.now() - at);
            humantime::format_rfc3339_millis(at).to_string()
        });
        (status, summary.consecutive_failures, last)
    }
}

/// What calls showed of an instance that nobody probes.
fn by_calls(snapshot: &EndpointSnapshot) -> Health {
    match snapshot.requests {
        0 => Health::Unknown,
        _ if snapshot.score >= WELL => Health::Healthy,
        _ => Health::Unhealthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_one_decimal() {
        assert_eq!(json(&percentage(2, 3)), "66.7");
        assert_eq!(json(&percentage(3, 3)), "100.0");
        assert_eq!(json(&percentage(0, 0)), "0.0");
    }
}

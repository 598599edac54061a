//! `GET /tools`.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::{body::Body, extract::State};
use bartizan_balance::EndpointSnapshot;
use bartizan_discovery as discovery;
use bartizan_health::{Checker, Health, HealthState};
use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};
use serde_json::value::RawValue;

use super::shapes::{Tool, Tools};
use crate::{
    front::{detail, docs::tag},
    mcp::{self, Door},
    registries::Listing,
    service::Service,
    shared::Shared,
};

/// The tools of all services
///
/// Those that registries list, and those of services that speak MCP. One that cannot be asked
/// costs its own tools only, and those only if it never told them.
#[utoipa::path(
    get,
    path = "/tools",
    tag = tag::TOOLS,
    operation_id = "list_tools",
    responses((status = 200, description = "All of them.", body = Tools, example = json!({
        "tools": [{
            "name": "manifest.read",
            "namespace": "manifest",
            "tool_name": "read",
            "backend_url": "http://127.0.0.1:8081",
            "health_status": "healthy",
            "description": "Reads a manifest",
        }],
    }))),
)]
pub(super) async fn tools(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response<Body> {
    let services = shared.catalog().services().iter();
    let lists = join_all(services.map(|service| of_service(&shared, service, &headers)));
    let tools = lists.await.into_iter().flatten().collect();
    detail::json(StatusCode::OK, &Tools { tools })
}

async fn of_service(
    shared: &Arc<Shared>,
    service: &Arc<Service>,
    headers: &HeaderMap,
) -> Vec<Tool> {
    if service.mcp().is_some() {
        let door = Door::new(shared, service, shared.caller(headers), headers);
        let offers = mcp::all::tools(door).await.unwrap_or_default();
        let standing = Standing::of(service);
        let tools = offers.into_iter().map(|offer| Tool {
            name: format!("{}.{}", service.name(), offer.name),
            namespace: service.name().to_string(),
            tool_name: offer.name,
            backend_url: service.endpoint(),
            health_status: standing.best(),
            description: offer.description,
            input_schema: offer.input_schema,
        });
        return tools.collect();
    }
    match service.listing() {
        Some(listing) => of_listing(service, &listing),
        None => Vec::new(),
    }
}

/// The tools that a registry lists, each once.
fn of_listing(service: &Service, listing: &Listing) -> Vec<Tool> {
    let standing = Standing::of(service);
    let mut seen = HashSet::new();
    let mut tools = Vec::new();
    for tool in listing.entries.iter().flat_map(|entry| entry.tools.iter()) {
        if !seen.insert(&tool.name) {
            continue;
        }
        let has_it = |entry: &&discovery::Entry| entry.tools.iter().any(|it| it.name == tool.name);
        let entries: Vec<_> = listing.entries.iter().filter(has_it).collect();
        let (health_status, place) = standing.best_of(&entries);
        let schema = ["input_schema", "inputSchema"];
        let schema = schema.iter().find_map(|name| tool.metadata.get(*name));
        tools.push(Tool {
            name: format!("{}.{}", listing.name, tool.name),
            namespace: listing.name.to_string(),
            tool_name: tool.name.to_string(),
            backend_url: place,
            health_status,
            description: tool.description.as_deref().map(str::to_owned),
            input_schema: schema.and_then(|text| RawValue::from_string(text.to_string()).ok()),
        });
    }
    tools
}

/// How the instances of a service are doing.
struct Standing {
    endpoints: Vec<EndpointSnapshot>,
    states: HashMap<Arc<str>, HealthState>,
}

impl Standing {
    fn of(service: &Service) -> Self {
        let states = service.checker().map(Checker::states);
        let states = states.unwrap_or_default().into_iter();
        Self {
            endpoints: service.instances(),
            states: states.map(|(target, state)| (target.id, state)).collect(),
        }
    }

    fn word(&self, endpoint: &EndpointSnapshot) -> &'static str {
        if endpoint.ejected_for.is_some() {
            return "unhealthy";
        }
        let is_unreachable = || {
            let state = self.states.get(&endpoint.id);
            state.is_some_and(|state| state.summary().unreachable)
        };
        match endpoint.health {
            Health::Healthy => "healthy",
            Health::Unknown => "unknown",
            Health::Unhealthy if is_unreachable() => "unreachable",
            Health::Unhealthy => "unhealthy",
        }
    }

    /// How the instance that is doing best is doing.
    fn best(&self) -> &'static str {
        let words = self.endpoints.iter().map(|endpoint| self.word(endpoint));
        words.min_by_key(|word| rank(word)).unwrap_or("unknown")
    }

    /// The same of those of `entries`, and where that instance is.
    fn best_of(&self, entries: &[&discovery::Entry]) -> (&'static str, String) {
        let found = entries.iter().filter_map(|entry| {
            let id = entry.instance.id();
            let endpoint = self.endpoints.iter().find(|it| it.id == *id)?;
            Some((self.word(endpoint), entry))
        });
        let best = found.min_by_key(|(word, _)| rank(word));
        let place = |entry: &discovery::Entry| {
            let place = entry.instance.uri().to_string();
            place.trim_end_matches('/').to_owned()
        };
        match (best, entries.first()) {
            (Some((word, entry)), _) => (word, place(entry)),
            (None, Some(entry)) => ("unknown", place(entry)),
            (None, None) => ("unknown", String::new()),
        }
    }
}

/// Better words first.
fn rank(word: &str) -> u8 {
    match word {
        "healthy" => 0,
        "unknown" => 1,
        "unhealthy" => 2,
        _ => 3,
    }
}

//! `GET /tools`.

use std::{collections::HashMap, sync::Arc};

use axum::{body::Body, extract::State};
use bartizan_balance::EndpointSnapshot;
use bartizan_circuit_breaker::State as BreakerState;
use bartizan_discovery as discovery;
use bartizan_health::{Checker, Health, HealthState};
use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};
use serde_json::value::RawValue;

use super::{
    call,
    shapes::{Tool, Tools},
};
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
    let tools = lists.await.into_iter().flatten();
    let tools = tools.filter(|tool| leads_there(&shared, tool)).collect();
    detail::json(StatusCode::OK, &Tools { tools })
}

/// Whether a call of the tool's name gets to it. One of a service whose name ends sooner does not
/// if the name of another service is in it.
fn leads_there(shared: &Shared, tool: &Tool) -> bool {
    let found = call::find(shared, &tool.name);
    let leads_there = found.is_some_and(|(service, name)| {
        **service.name() == *tool.namespace && *name == *tool.tool_name
    });
    if !leads_there {
        let (name, namespace) = (&*tool.name, &*tool.namespace);
        tracing::debug!(
            name,
            namespace,
            "calls of this name go to another service; left out at /tools"
        );
    }
    leads_there
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

/// The tools that a registry lists, each once: as the instance that is doing best has it.
fn of_listing(service: &Service, listing: &Listing) -> Vec<Tool> {
    let standing = Standing::of(service);
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut tools: Vec<Tool> = Vec::new();
    for entry in listing.entries.iter() {
        let word = standing.word(entry.instance.id());
        for tool in entry.tools() {
            match places.get(&*tool.name) {
                Some(place) => {
                    let known = &mut tools[*place];
                    if rank(word) < rank(known.health_status) {
                        known.health_status = word;
                        known.backend_url = place_of(entry);
                    }
                }
                None => {
                    places.insert(&tool.name, tools.len());
                    tools.push(listed(&listing.name, entry, tool, word));
                }
            }
        }
    }
    tools
}

fn listed(
    namespace: &str,
    entry: &discovery::Entry,
    tool: &discovery::Tool,
    health_status: &'static str,
) -> Tool {
    let schema = ["input_schema", "inputSchema"];
    let schema = schema.iter().find_map(|name| tool.metadata.get(*name));
    Tool {
        name: format!("{namespace}.{}", tool.name),
        namespace: namespace.to_owned(),
        tool_name: tool.name.to_string(),
        backend_url: place_of(entry),
        health_status,
        description: tool.description.as_deref().map(str::to_owned),
        input_schema: schema.and_then(|text| RawValue::from_string(text.to_string()).ok()),
    }
}

fn place_of(entry: &discovery::Entry) -> String {
    let place = entry.instance.uri().to_string();
    place.trim_end_matches('/').to_owned()
}

/// How the instances of a service are doing.
struct Standing(HashMap<Arc<str>, &'static str>);

impl Standing {
    fn of(service: &Service) -> Self {
        let states = service.checker().map(Checker::states);
        let states = states.unwrap_or_default().into_iter();
        let states: HashMap<_, _> = states.map(|(target, state)| (target.id, state)).collect();
        let is_open = service.breaker().state() == BreakerState::Open;
        let words = service.instances().into_iter().map(|endpoint| {
            let word = word(&endpoint, states.get(&endpoint.id), is_open);
            (endpoint.id, word)
        });
        Self(words.collect())
    }

    fn word(&self, id: &str) -> &'static str {
        self.0.get(id).copied().unwrap_or("unknown")
    }

    /// How the instance that is doing best is doing.
    fn best(&self) -> &'static str {
        let words = self.0.values().copied();
        words.min_by_key(|word| rank(word)).unwrap_or("unknown")
    }
}

fn word(endpoint: &EndpointSnapshot, state: Option<&HealthState>, is_open: bool) -> &'static str {
    let is_unreachable = || state.is_some_and(|state| state.summary().unreachable);
    match endpoint.health {
        _ if endpoint.ejected_for.is_some() => "unhealthy",
        Health::Unhealthy if is_unreachable() => "unreachable",
        // No call gets there.
        _ if is_open => "unhealthy",
        Health::Healthy => "healthy",
        Health::Unknown => "unknown",
        Health::Unhealthy => "unhealthy",
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

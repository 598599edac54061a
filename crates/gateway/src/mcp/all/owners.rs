use std::sync::Arc;

use bytes::Bytes;

use super::{
    list::Kind,
    shelf::{listed, listed_by_all},
};
use crate::{
    mcp::{Door, ask::Client},
    service::Service,
};

/// The tools of the service of `door`, by the names that it knows, as a client may see them.
pub(super) async fn tools(door: Door, client: &Client) -> Option<Vec<(String, Bytes)>> {
    let list = listed(door, client, Kind::Tools).await?;
    let items = list.items.iter();
    let tools = items.map(|item| (item.original.as_ref().to_owned(), item.raw.clone()));
    Some(tools.collect())
}

/// Whether the service of `door` has a tool of this name; `None` if it never said.
pub(super) async fn has_tool(door: Door, client: &Client, name: &str) -> Option<bool> {
    let list = listed(door, client, Kind::Tools).await?;
    Some(list.items.iter().any(|item| &*item.original == name))
}

/// The name at its service of what goes by `joined`.
pub(super) async fn original(
    door: &Door,
    client: &Client,
    list: &str,
    joined: &str,
) -> Option<String> {
    let list = listed(door.clone(), client, Kind::of(list)?).await?;
    let mut items = list.items.iter();
    let item = items.find(|item| item.key.as_deref() == Some(joined))?;
    Some(item.original.as_ref().to_owned())
}

/// The services that may have a resource, the likeliest first.
pub(super) async fn of_resource(door: &Door, client: &Client, uri: &str) -> Vec<Door> {
    let listed_at = owners(door, client, Kind::Resources, |key| key == uri).await;
    if let [service] = &listed_at[..] {
        return vec![door.at(service)];
    }
    let templates = owners(door, client, Kind::Templates, |template| {
        template
            .split_once('{')
            .is_some_and(|(start, _)| !start.is_empty() && uri.starts_with(start))
    })
    .await;
    let likely = listed_at.into_iter().chain(templates);
    // A tool's answer may speak of resources that no list has.
    let mut doors: Vec<Door> = Vec::new();
    let all = door.shared.places().services().iter();
    for service in likely.chain(all.cloned()) {
        if !doors.iter().any(|door| door.service.id() == service.id()) {
            doors.push(door.at(&service));
        }
    }
    doors
}

/// The service that has a resource template.
pub(super) async fn of_template(door: &Door, client: &Client, template: &str) -> Option<Door> {
    let owners = owners(door, client, Kind::Templates, |key| key == template).await;
    owners.first().map(|service| door.at(service))
}

async fn owners(
    door: &Door,
    client: &Client,
    kind: Kind,
    is_it: impl Fn(&str) -> bool,
) -> Vec<Arc<Service>> {
    let lists = listed_by_all(door, client, kind).await;
    let services = door.shared.places().services();
    let owners = services.iter().zip(lists).filter(|(_, list)| {
        let mut items = list.iter().flat_map(|list| &list.items);
        items.any(|item| item.key.as_deref().is_some_and(&is_it))
    });
    owners.map(|(service, _)| Arc::clone(service)).collect()
}

use std::{collections::HashSet, sync::Arc};

use axum::body::Body;
use bartizan_protocol::{Era, edit, error as code};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, header::CONTENT_TYPE};

use super::{
    list::{COMMA, Kind, List, join},
    shelf::listed_by_all,
};
use crate::{
    body::Pieces,
    mcp::{
        Door, Refusal,
        ask::{Client, Request},
        refusal::JSON,
        respond::json,
    },
};

/// Says which services a list is without.
const X_MISSING: HeaderName = HeaderName::from_static("x-bartizan-missing-services");

/// The answer to a list request: the lists of all services, one after the other.
pub(super) async fn answer(door: &Door, client: &Client, request: &Request) -> Response<Body> {
    let era = client.era();
    let Some(kind) = Kind::of(&request.method) else {
        let refusal = Refusal::answer(code::METHOD_NOT_FOUND, "no such list");
        return json(request.refused(&refusal), era);
    };
    if edit::get(&request.body, &["params", "cursor"]).is_some_and(|cursor| cursor != "null") {
        let text = "unknown cursor: this list has one page";
        return json(
            request.refused(&Refusal::answer(code::INVALID_PARAMS, text)),
            era,
        );
    }
    let heard = listed_by_all(door, client, kind).await;
    let services = door.shared.places().services();
    let missing = services
        .iter()
        .zip(&heard)
        .filter(|(_, list)| list.is_none());
    let missing: Vec<_> = missing.map(|(service, _)| &**service.name()).collect();
    let lists: Vec<_> = heard.iter().flatten().collect();
    let pieces = message(request, kind, era, &lists, &missing);
    let mut response = Response::new(Body::new(Pieces::from(pieces)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if !missing.is_empty()
        && let Ok(names) = HeaderValue::from_str(&missing.join(", "))
    {
        headers.insert(X_MISSING, names);
    }
    response
}

/// The message with all items of these lists, which are not copied: together they may be the largest
/// answer that there is.
fn message(
    request: &Request,
    kind: Kind,
    era: Era,
    lists: &[&Arc<List>],
    missing: &[&str],
) -> Vec<Bytes> {
    let mut head = BytesMut::with_capacity(request.id.len() + 64);
    for part in [
        r#"{"jsonrpc":"2.0","id":"#,
        &*request.id,
        r#","result":{""#,
        kind.member(),
        r#"":["#,
    ] {
        head.extend_from_slice(part.as_bytes());
    }
    let twice = if kind.has_names() {
        HashSet::new()
    } else {
        twice(lists)
    };
    let mut pieces = Vec::with_capacity(lists.len() + 2);
    pieces.push(head.freeze());
    for list in lists {
        let mut piece = if twice.is_empty() {
            list.joined.clone()
        } else {
            join(&list.items, |key| !twice.contains(key))
        };
        if piece.is_empty() {
            continue;
        }
        if pieces.len() == 1 {
            piece.advance(COMMA.len());
        }
        pieces.push(piece);
    }
    let mut message = BytesMut::from(&b"]"[..]);
    if era == Era::Modern {
        let hints = br#","resultType":"complete","ttlMs":0,"cacheScope":"private""#;
        message.extend_from_slice(hints);
    }
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|name| edit::string(name)).collect();
        let meta = format!(
            r#","_meta":{{"bartizan/missingServices":[{}]}}"#,
            names.join(",")
        );
        message.extend_from_slice(meta.as_bytes());
    }
    message.extend_from_slice(b"}}");
    pieces.push(message.freeze());
    pieces
}

/// What more than one service claims: nobody could say whose it is, so it is nobody's.
fn twice(lists: &[&Arc<List>]) -> HashSet<Box<str>> {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    let items = lists.iter().flat_map(|list| &list.items);
    for uri in items.filter_map(|item| item.key.as_ref()) {
        if !seen.insert(uri) && twice.insert(uri.clone()) {
            tracing::warn!(
                uri = &**uri,
                "several services have this; none does at /mcp"
            );
        }
    }
    twice
}

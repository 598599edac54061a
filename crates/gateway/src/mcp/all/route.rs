use std::borrow::Cow;

use bartizan_protocol::{
    edit, error as code,
    method::{
        COMPLETION_COMPLETE, PROMPTS_GET, PROMPTS_LIST, RESOURCES_READ, TOOLS_CALL, TOOLS_LIST,
    },
};
use bytes::Bytes;

use super::owners;
use crate::mcp::{
    Door, Refusal,
    ask::{Client, Request},
};

/// The services that a request may be about, the likeliest first, and the request in their
/// words. More than one only if it does no harm to ask all of them.
///
/// # Errors
///
/// When there is none.
pub(super) async fn find(
    door: &Door,
    client: &Client,
    request: &Request,
) -> Result<(Vec<Door>, Request), Refusal> {
    match &*request.method {
        TOOLS_CALL => named(door, client, request, TOOLS_LIST, &["params", "name"])
            .await
            .map(one),
        PROMPTS_GET => named(door, client, request, PROMPTS_LIST, &["params", "name"])
            .await
            .map(one),
        RESOURCES_READ => {
            let uri = text(request, &["params", "uri"])?;
            let doors = owners::of_resource(door, client, &uri).await;
            if doors.is_empty() {
                return Err(unknown_resource(client, &uri));
            }
            Ok((doors, request.clone()))
        }
        COMPLETION_COMPLETE => completed(door, client, request).await.map(one),
        method => Err(Refusal::new(
            http::StatusCode::NOT_FOUND,
            code::METHOD_NOT_FOUND,
            format!("{method} is about no service: use the address of one, /mcp/<service>"),
        )),
    }
}

fn one((door, request): (Door, Request)) -> (Vec<Door>, Request) {
    (vec![door], request)
}

/// The service that a name at `path` begins with, and the request with the name as the service
/// knows it.
async fn named(
    door: &Door,
    client: &Client,
    request: &Request,
    list: &'static str,
    path: &[&str],
) -> Result<(Door, Request), Refusal> {
    let joined = text(request, path)?;
    let unknown = || {
        let what = list.trim_end_matches("s/list");
        Refusal::answer(
            code::INVALID_PARAMS,
            format!("unknown {what} {joined}: the names are those of {list}"),
        )
    };
    let (service, rest) = door.shared.places().split(&joined).ok_or_else(unknown)?;
    let door = door.at(service);
    // Only a name that was shortened needs the list to be understood.
    let name = if joined.len() < 64 {
        Cow::Borrowed(rest)
    } else {
        let known = owners::original(&door, client, list, &joined).await;
        known.map_or(Cow::Borrowed(rest), Cow::Owned)
    };
    let raw = edit::get(&request.body, path).ok_or_else(unknown)?;
    let body = edit::replace(&request.body, &[(raw, &edit::string(&name))]);
    let body: Bytes = body.map_err(|_| unknown())?;
    Ok((
        door,
        Request {
            body,
            ..request.clone()
        },
    ))
}

fn text(request: &Request, path: &[&str]) -> Result<String, Refusal> {
    let text = edit::get(&request.body, path).and_then(edit::text);
    text.map(Cow::into_owned).ok_or_else(|| {
        Refusal::answer(
            code::INVALID_PARAMS,
            format!("{} must be a string", path.join(".")),
        )
    })
}

/// The service whose prompt or resource template is to be completed.
async fn completed(
    door: &Door,
    client: &Client,
    request: &Request,
) -> Result<(Door, Request), Refusal> {
    let path = ["params", "ref", "name"];
    if edit::get(&request.body, &path).is_some() {
        return named(door, client, request, PROMPTS_LIST, &path).await;
    }
    let uri = text(request, &["params", "ref", "uri"])?;
    let door = owners::of_template(door, client, &uri).await;
    let none = || {
        Refusal::answer(
            code::INVALID_PARAMS,
            "no service has this resource template",
        )
    };
    Ok((door.ok_or_else(none)?, request.clone()))
}

fn unknown_resource(client: &Client, uri: &str) -> Refusal {
    let code = match client {
        Client::Legacy(_) => code::RESOURCE_NOT_FOUND,
        Client::Modern(_) => code::INVALID_PARAMS,
    };
    Refusal::answer(code, "Resource not found")
        .with_data(format!(r#"{{"uri":{}}}"#, edit::string(uri)))
}

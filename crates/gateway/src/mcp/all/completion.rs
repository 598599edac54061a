use bartizan_protocol::edit;

use super::{owners, route};
use crate::mcp::{
    Door, Refusal,
    ask::{Client, Request},
};

/// The service whose prompt or resource template is to be completed.
///
/// # Errors
///
/// When there is none.
pub(super) async fn find(
    door: &Door,
    client: &Client,
    request: &Request,
) -> Result<(Door, Request), Refusal> {
    let path = ["params", "ref", "name"];
    if edit::get(&request.body, &path).is_some() {
        return route::named(door, client, request, "prompts/list", &path).await;
    }
    let uri = route::text(request, &["params", "ref", "uri"])?;
    let door = owners::of_template(door, client, &uri).await;
    let door = door.ok_or_else(|| {
        Refusal::answer(
            bartizan_protocol::error::INVALID_PARAMS,
            "no service has this resource template",
        )
    })?;
    Ok((door, request.clone()))
}

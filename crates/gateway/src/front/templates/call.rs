//! `POST tools/call`, `resources/read` and `prompts/get`.

use axum::body::Body;
use bartizan_protocol::{
    Edit, edit,
    method::{PROMPTS_GET, RESOURCES_READ, TOOLS_CALL},
};
use bytes::Bytes;
use http::StatusCode;

use super::{
    problem::Problem,
    rest,
    types::{Addressed, Named},
    visit::Visit,
};
use crate::mcp::direct::{self, Said};

pub(super) async fn tool(visit: &Visit, body: Body) -> Result<Bytes, Problem> {
    let body = visit.body(body).await?;
    let call = Named::read(&body, "tool")?;
    if visit.service.mcp().is_none() {
        let result = rest::call(visit, &call.name, call.arguments).await?;
        return Ok(informed(visit, &result, &[]));
    }
    let params = named(&call);
    let result = asked(visit, TOOLS_CALL, &params).await?;
    // The protocol lets servers leave it out; the document does not.
    let is_silent = edit::get(&result, &["isError"]).is_none();
    let missing: &[_] = if is_silent { &["isError"] } else { &[] };
    Ok(informed(visit, &result, missing))
}

pub(super) async fn resource(visit: &Visit, body: Body) -> Result<Bytes, Problem> {
    let body = visit.body(body).await?;
    let read = Addressed::read(&body)?;
    only_mcp(visit, "resources")?;
    let params = format!(r#"{{"uri":{}}}"#, edit::string(&read.uri));
    let result = asked(visit, RESOURCES_READ, &params).await?;
    Ok(informed(visit, &result, &[]))
}

pub(super) async fn prompt(visit: &Visit, body: Body) -> Result<Bytes, Problem> {
    let body = visit.body(body).await?;
    let get = Named::read(&body, "prompt")?;
    only_mcp(visit, "prompts")?;
    let result = asked(visit, PROMPTS_GET, &named(&get)).await?;
    Ok(informed(visit, &result, &[]))
}

fn named(named: &Named<'_>) -> String {
    let name = edit::string(&named.name);
    format!(r#"{{"name":{name},"arguments":{}}}"#, named.arguments)
}

fn only_mcp(visit: &Visit, what: &str) -> Result<(), Problem> {
    if visit.service.mcp().is_some() {
        return Ok(());
    }
    let template = visit.template();
    let detail = format!("Template '{template}' has no {what}: it is plain HTTP, not MCP");
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

async fn asked(visit: &Visit, method: &str, params: &str) -> Result<Bytes, Problem> {
    let door = visit.door_in_turn()?;
    match direct::request(&door, method, params).await {
        Ok(Said::Result(result)) => Ok(result),
        Ok(Said::Error(error)) => Err(Problem::of_rpc(&error)),
        Err(refusal) => Err(Problem::of_refusal(visit.template(), &refusal)),
    }
}

/// A result as it was written, with how it came about at its end, and `false` for the members that
/// are `missing`.
fn informed(visit: &Visit, result: &Bytes, missing: &[&str]) -> Bytes {
    let mut edit = Edit::new(result);
    for member in missing {
        edit.set(&[member], "false");
    }
    if let Some(info) = visit.gateway_info() {
        edit.set(&["_gateway_info"], &info);
    }
    // What is no object is the server's own affair.
    edit.finish().unwrap_or_else(|_| result.clone())
}

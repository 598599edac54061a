//! Questions to the client, put in the way that the request's revision has.
//!
//! Before 2026-07-28 a server sends a request of its own while the call is open. From then on the
//! call ends with `input_required` and the client repeats it with the answers. The fixture's tools
//! say only what they ask, so each of them works with clients of both kinds, and a gateway between
//! a client of one kind and a server of the other can be tested with any of them.

use std::collections::BTreeMap;

use rmcp::{
    ErrorData, RoleServer,
    model::{ClientCapabilities, InputRequest, InputRequiredResult, InputResponses},
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{eras::modern, typed::typed};

/// A key, a method and its parameters.
pub(crate) type Ask = (&'static str, &'static str, Value);

/// The client's answers, or the result that asks for them.
pub(crate) enum Asked {
    Answered(BTreeMap<String, Value>),
    Required(InputRequiredResult),
}

pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().as_ref().is_some_and(modern)
}

pub(crate) fn elicit(key: &'static str, message: &str, properties: &Value) -> Ask {
    let required: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flat_map(|p| p.keys())
        .collect();
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    (
        key,
        "elicitation/create",
        json!({ "mode": "form", "message": message, "requestedSchema": schema }),
    )
}

pub(crate) fn sample(key: &'static str, prompt: &str) -> Ask {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    (
        key,
        "sampling/createMessage",
        json!({ "messages": [message], "maxTokens": 100 }),
    )
}

pub(crate) fn roots(key: &'static str) -> Ask {
    (key, "roots/list", json!({}))
}

/// Puts `asks` to the client, unless `responses` has an answer to each of them.
///
/// `state` is sealed by the caller and goes with the questions where the revision has a place for
/// it.
///
/// # Errors
///
/// What the client answered a legacy request with, when that is an error.
pub(crate) async fn put(
    context: &RequestContext<RoleServer>,
    responses: Option<&InputResponses>,
    asks: Vec<Ask>,
    state: Option<String>,
) -> Result<Asked, ErrorData> {
    if !is_modern(context) {
        let mut answers = BTreeMap::new();
        for (key, method, params) in asks {
            answers.insert(key.to_owned(), request(context, method, params).await?);
        }
        return Ok(Asked::Answered(answers));
    }
    // Only an object can be an answer; whatever else came is as good as nothing and asked again.
    let given = |key: &str| {
        responses
            .and_then(|all| all.get(key))
            .filter(|one| one.is_object())
    };
    if asks.iter().all(|(key, ..)| given(key).is_some()) {
        let answers = asks
            .iter()
            .filter_map(|(key, ..)| Some(((*key).to_owned(), given(key)?.clone())));
        return Ok(Asked::Answered(answers.collect()));
    }
    let mut requests = BTreeMap::new();
    for (key, method, params) in asks {
        requests.insert(key.to_owned(), input_request(method, &params)?);
    }
    Ok(Asked::Required(InputRequiredResult::new(
        Some(requests),
        state,
    )))
}

/// Whether the client of this request said that it can answer `method`.
pub(crate) fn can_answer(context: &RequestContext<RoleServer>, method: &str) -> bool {
    let ClientCapabilities {
        elicitation,
        sampling,
        roots,
        ..
    } = context.client_capabilities().unwrap_or_default();
    match method {
        "elicitation/create" => elicitation.is_some(),
        "sampling/createMessage" => sampling.is_some(),
        "roots/list" => roots.is_some(),
        _ => false,
    }
}

pub(crate) fn input_request(method: &str, params: &Value) -> Result<InputRequest, ErrorData> {
    typed(json!({ "method": method, "params": params }))
}

async fn request(
    context: &RequestContext<RoleServer>,
    method: &str,
    params: Value,
) -> Result<Value, ErrorData> {
    let failed = |error: &dyn std::fmt::Display| {
        ErrorData::internal_error(format!("{method} was not answered: {error}"), None)
    };
    let answer = match input_request(method, &params)? {
        InputRequest::CreateMessage(ask) => {
            let answer = context
                .peer
                .create_message(ask.params)
                .await
                .map_err(|e| failed(&e))?;
            serde_json::to_value(answer)
        }
        InputRequest::Elicitation(ask) => {
            let answer = context
                .peer
                .create_elicitation(ask.params)
                .await
                .map_err(|e| failed(&e))?;
            serde_json::to_value(answer)
        }
        _ => serde_json::to_value(context.peer.list_roots().await.map_err(|e| failed(&e))?),
    };
    answer.map_err(|e| failed(&e))
}

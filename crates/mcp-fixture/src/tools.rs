//! The tools that answer within their call.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, JsonObject,
        LoggingLevel,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    asks::{self, Asked},
    catalog::{PNG, WAV},
    resources::WATCHED,
    server::Fixture,
    subscribers::Change,
    typed::{text, typed},
};

/// Between the steps of a tool that shows its progress, so that a gateway which holds messages
/// back is seen to.
const STEP: Duration = Duration::from_millis(50);

pub(crate) async fn call(
    fixture: &Fixture,
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = request.arguments.clone().unwrap_or_default();
    let content = match request.name.as_ref() {
        "test_simple_text" => json!([words("This is a simple text response for testing.")]),
        "test_image_content" => json!([image()]),
        "test_audio_content" => json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }]),
        "test_embedded_resource" => json!([embedded(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        )]),
        "test_multiple_content_types" => json!([
            words("Multiple content types test:"),
            image(),
            embedded(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            ),
        ]),
        "test_structured_content" => return structured(),
        "test_error_handling" => {
            return failure("This tool intentionally returns an error for testing");
        }
        "test_tool_with_logging" => {
            for (index, message) in ["started", "processing data", "completed"]
                .iter()
                .enumerate()
            {
                if index > 0 {
                    tokio::time::sleep(STEP).await;
                }
                let message = match index {
                    1 => format!("Tool {message}"),
                    _ => format!("Tool execution {message}"),
                };
                log(fixture, context, &message).await?;
            }
            said("Logged three messages")
        }
        "test_logging_tool" => {
            log(fixture, context, "Logging was asked for").await?;
            said("Logging tool completed")
        }
        "test_tool_with_progress" => {
            for step in [0, 50, 100] {
                if step > 0 {
                    tokio::time::sleep(STEP).await;
                }
                if let Some(token) = context.meta.get_progress_token() {
                    let progress =
                        json!({ "progressToken": token, "progress": step, "total": 100 });
                    // A client that left while the tool ran is not the tool's concern.
                    let _ = context.peer.notify_progress(typed(progress)?).await;
                }
            }
            said("Progress reported")
        }
        "test_reconnection" => {
            tokio::time::sleep(STEP * 2).await;
            said("Reconnection test completed")
        }
        "json_schema_2020_12_tool" => said("Schema accepted"),
        "test_custom_header" => said(&format!("Value: {}", text(&arguments, "value"))),
        "test_trigger_tool_change" => {
            fixture.subscribers().announce(Change::Tools).await;
            said("Tool list change announced")
        }
        "test_trigger_prompt_change" => {
            fixture.subscribers().announce(Change::Prompts).await;
            said("Prompt list change announced")
        }
        "test_trigger_resource_update" => {
            fixture
                .subscribers()
                .announce(Change::Resource(WATCHED))
                .await;
            said("Resource update announced")
        }
        "test_missing_capability" => {
            if !asks::can_answer(context, "sampling/createMessage") {
                return Err(ErrorData::missing_required_client_capability(
                    ClientCapabilities::builder().enable_sampling().build(),
                ));
            }
            said("The client samples")
        }
        _ => return ask(fixture, &request, &arguments, context).await,
    };
    complete(&content)
}

/// The tools that ask before they answer.
async fn ask(
    fixture: &Fixture,
    request: &CallToolRequestParams,
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let responses = request.input_responses.as_ref();
    let states = fixture.states();
    let asks = match request.name.as_ref() {
        "test_sampling" => vec![asks::sample("answer", text(arguments, "prompt"))],
        "test_elicitation" => vec![asks::elicit(
            "answer",
            text(arguments, "message"),
            &json!({
                "username": { "type": "string", "description": "User's response" },
                "email": { "type": "string", "description": "User's email address" }
            }),
        )],
        "test_elicitation_sep1034_defaults" => {
            vec![asks::elicit(
                "answer",
                "Please review the defaults",
                &defaults(),
            )]
        }
        "test_elicitation_sep1330_enums" => {
            vec![asks::elicit("answer", "Please choose", &enumerations())]
        }
        "test_streaming_elicitation" => vec![asks::elicit(
            "answer",
            "Provide a value",
            &json!({ "value": { "type": "string" } }),
        )],
        "test_input_required_result_elicitation" => vec![name("user_name", "What is your name?")],
        "test_input_required_result_sampling" => {
            vec![asks::sample(
                "capital_question",
                "What is the capital of France?",
            )]
        }
        "test_input_required_result_list_roots" => vec![asks::roots("client_roots")],
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => {
            vec![asks::elicit(
                "confirm",
                "Please confirm",
                &json!({ "ok": { "type": "boolean" } }),
            )]
        }
        "test_input_required_result_multiple_inputs" => vec![
            name("user_name", "What is your name?"),
            asks::sample("greeting", "Generate a greeting"),
            asks::roots("client_roots"),
        ],
        "test_input_required_result_capabilities" => {
            let mut asks = vec![
                name("user_name", "What is your name?"),
                asks::sample("greeting", "Generate a greeting"),
            ];
            asks.retain(|(_, method, _)| asks::can_answer(context, method));
            asks
        }
        "test_input_required_result_multi_round" => {
            return two_rounds(fixture, request, context).await;
        }
        unknown => {
            return Err(ErrorData::invalid_params(
                format!("Unknown tool: {unknown}"),
                None,
            ));
        }
    };
    let stated = request.name.contains("_state") || request.name.ends_with("_multiple_inputs");
    if stated && let Some(state) = &request.request_state {
        states.open_json::<u8>(state).map_err(|_| changed())?;
    }
    let state = stated
        .then(|| states.seal_json(&1_u8))
        .transpose()
        .map_err(|_| changed())?;
    let answers = match asks::put(context, responses, asks, state).await {
        Ok(Asked::Answered(answers)) => answers,
        Ok(Asked::Required(result)) => return Ok(result.into()),
        Err(error) => return failure(&error.message),
    };
    if stated && asks::is_modern(context) && request.request_state.is_none() {
        return Err(changed());
    }
    complete(&said(&told(request.name.as_ref(), &answers)))
}

/// What a tool makes of its answers.
fn told(tool: &str, answers: &std::collections::BTreeMap<String, Value>) -> String {
    let at = |key: &str| answers.get(key).unwrap_or(&Value::Null);
    let action = |key: &str| at(key)["action"].as_str().unwrap_or("none");
    match tool {
        "test_sampling" => format!("LLM response: {}", sampled(at("answer"))),
        "test_elicitation" | "test_streaming_elicitation" => {
            format!(
                "User response: action={}, content={}",
                action("answer"),
                at("answer")["content"]
            )
        }
        "test_input_required_result_elicitation" => {
            format!(
                "Hello, {}!",
                at("user_name")["content"]["name"]
                    .as_str()
                    .unwrap_or("stranger")
            )
        }
        "test_input_required_result_sampling" => sampled(at("capital_question")).to_owned(),
        "test_input_required_result_list_roots" => {
            format!("Roots: {}", at("client_roots")["roots"])
        }
        tool if tool.contains("_state") => format!("state-ok, action={}", action("confirm")),
        tool if tool.starts_with("test_elicitation_") => format!(
            "Elicitation completed: action={}, content={}",
            action("answer"),
            at("answer")["content"]
        ),
        _ => format!("Answers: {}", json!(answers)),
    }
}

fn sampled(answer: &Value) -> &str {
    let content = &answer["content"];
    // A list since 2025-11-25, one block before.
    content["text"]
        .as_str()
        .or_else(|| content[0]["text"].as_str())
        .unwrap_or("none")
}

/// The second question depends on the answer to the first, which only the state remembers.
async fn two_rounds(
    fixture: &Fixture,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let states = fixture.states();
    let responses = request.input_responses.as_ref();
    let remembered: Option<Option<String>> = match &request.request_state {
        Some(state) => Some(states.open_json(state).map_err(|_| changed())?),
        None => None,
    };
    let who = if let Some(Some(who)) = remembered {
        who
    } else {
        let state = states.seal_json(&None::<String>).map_err(|_| changed())?;
        let ask = name("step1", "Step 1: What is your name?");
        match asks::put(context, responses, vec![ask], Some(state)).await? {
            Asked::Required(result) => return Ok(result.into()),
            Asked::Answered(answers) => answers["step1"]["content"]["name"]
                .as_str()
                .unwrap_or("stranger")
                .to_owned(),
        }
    };
    let state = states.seal_json(&Some(&who)).map_err(|_| changed())?;
    let ask = asks::elicit(
        "step2",
        "Step 2: What is your favorite color?",
        &json!({ "color": { "type": "string" } }),
    );
    match asks::put(context, responses, vec![ask], Some(state)).await? {
        Asked::Required(result) => Ok(result.into()),
        Asked::Answered(answers) => {
            let color = answers["step2"]["content"]["color"]
                .as_str()
                .unwrap_or("none");
            complete(&said(&format!("{who} likes {color}")))
        }
    }
}

fn name(key: &'static str, message: &str) -> asks::Ask {
    asks::elicit(key, message, &json!({ "name": { "type": "string" } }))
}

fn changed() -> ErrorData {
    ErrorData::invalid_params("requestState is missing or was changed", None)
}

async fn log(
    fixture: &Fixture,
    context: &RequestContext<RoleServer>,
    message: &str,
) -> Result<(), ErrorData> {
    let level = if asks::is_modern(context) {
        context.meta.log_level()
    } else {
        Some(fixture.log_level())
    };
    // Every message of the fixture is informational.
    if level.is_some_and(|level| matches!(level, LoggingLevel::Debug | LoggingLevel::Info)) {
        let entry = json!({ "level": "info", "logger": "mcp-fixture", "data": message });
        let _ = context.peer.notify_logging_message(typed(entry)?).await;
    }
    Ok(())
}

pub(crate) fn complete(content: &Value) -> Result<CallToolResponse, ErrorData> {
    let result: CallToolResult = typed(json!({ "content": content, "resultType": "complete" }))?;
    Ok(result.into())
}

fn failure(message: &str) -> Result<CallToolResponse, ErrorData> {
    let result = json!({ "content": said(message), "isError": true, "resultType": "complete" });
    Ok(typed::<CallToolResult>(result)?.into())
}

fn structured() -> Result<CallToolResponse, ErrorData> {
    let weather = json!({ "temperature": 22.5, "unit": "celsius" });
    let result = json!({
        "content": said(&weather.to_string()),
        "structuredContent": weather,
        "resultType": "complete"
    });
    Ok(typed::<CallToolResult>(result)?.into())
}

pub(crate) fn said(text: &str) -> Value {
    json!([words(text)])
}

fn words(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn image() -> Value {
    json!({ "type": "image", "data": PNG, "mimeType": "image/png" })
}

fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime_type, "text": text } })
}

fn defaults() -> Value {
    json!({
        "name": { "type": "string", "default": "John Doe" },
        "age": { "type": "integer", "default": 30 },
        "score": { "type": "number", "default": 95.5 },
        "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
        "verified": { "type": "boolean", "default": true }
    })
}

fn enumerations() -> Value {
    let named = |choices: [(&str, &str); 3]| -> Vec<Value> {
        choices
            .iter()
            .map(|(value, title)| json!({ "const": value, "title": title }))
            .collect()
    };
    let options = ["option1", "option2", "option3"];
    let single = [
        ("value1", "First Option"),
        ("value2", "Second Option"),
        ("value3", "Third Option"),
    ];
    let several = [
        ("value1", "First Choice"),
        ("value2", "Second Choice"),
        ("value3", "Third Choice"),
    ];
    json!({
        "untitledSingle": { "type": "string", "enum": options },
        "titledSingle": { "type": "string", "oneOf": named(single) },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"]
        },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
        "titledMulti": { "type": "array", "items": { "anyOf": named(several) } }
    })
}

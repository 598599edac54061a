//! The prompts.

use rmcp::{
    ErrorData, RoleServer,
    model::{GetPromptRequestParams, GetPromptResponse, GetPromptResult},
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    asks::{self, Asked},
    catalog::PNG,
    typed::{text, typed},
};

pub(crate) async fn prompt(
    request: GetPromptRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<GetPromptResponse, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![words("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (one, two) = (text(&arguments, "arg1"), text(&arguments, "arg2"));
            vec![words(&format!(
                "Prompt with arguments: arg1='{one}', arg2='{two}'"
            ))]
        }
        "test_prompt_with_embedded_resource" => vec![
            json!({ "type": "resource", "resource": {
                "uri": text(&arguments, "resourceUri"),
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing."
            } }),
            words("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => vec![
            json!({ "type": "image", "data": PNG, "mimeType": "image/png" }),
            words("Please analyze the image above."),
        ],
        "test_input_required_result_prompt" => {
            let ask = asks::elicit(
                "user_context",
                "What context should the prompt use?",
                &json!({ "context": { "type": "string" } }),
            );
            match asks::put(context, request.input_responses.as_ref(), vec![ask], None).await? {
                Asked::Required(result) => return Ok(result.into()),
                Asked::Answered(answers) => {
                    let given = answers["user_context"]["content"]["context"].as_str();
                    vec![words(&format!(
                        "Prompt with context: {}",
                        given.unwrap_or("none")
                    ))]
                }
            }
        }
        unknown => {
            return Err(ErrorData::invalid_params(
                format!("Unknown prompt: {unknown}"),
                None,
            ));
        }
    };
    let messages: Vec<Value> = messages
        .into_iter()
        .map(|content| json!({ "role": "user", "content": content }))
        .collect();
    let result: GetPromptResult = typed(json!({ "messages": messages, "resultType": "complete" }))?;
    Ok(result.into())
}

fn words(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

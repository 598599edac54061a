//! What the fixture lists. The names, descriptions and schemas are those the suite asks for.

use serde_json::{Value, json};

/// A red pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC";

/// A sound of no samples.
pub(crate) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

fn tool(name: &str, description: &str, properties: &Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    json!({ "name": name, "description": description, "inputSchema": schema })
}

fn plain(name: &str, description: &str) -> Value {
    tool(name, description, &json!({}), &[])
}

pub(crate) fn tools() -> Vec<Value> {
    let mut tools = vec![
        plain("test_simple_text", "Answers with one text"),
        plain("test_image_content", "Answers with an image"),
        plain("test_audio_content", "Answers with a sound"),
        plain(
            "test_embedded_resource",
            "Answers with an embedded resource",
        ),
        plain(
            "test_multiple_content_types",
            "Answers with text, image and resource",
        ),
        structured(),
        plain(
            "test_tool_with_logging",
            "Sends three log messages while it runs",
        ),
        plain(
            "test_logging_tool",
            "Logs only where the request asked for it",
        ),
        plain("test_error_handling", "Fails, as a tool fails"),
        plain("test_tool_with_progress", "Reports progress while it runs"),
        plain(
            "test_reconnection",
            "Takes long enough for a client to come back",
        ),
        schema_2020_12(),
        tool(
            "test_custom_header",
            "Mirrors an argument in a header",
            &json!({ "value": { "type": "string", "x-mcp-header": "Value" } }),
            &["value"],
        ),
        plain(
            "test_trigger_tool_change",
            "Announces a change of the tools",
        ),
        plain(
            "test_trigger_prompt_change",
            "Announces a change of the prompts",
        ),
        plain(
            "test_trigger_resource_update",
            "Announces a change of the watched resource",
        ),
        plain("test_missing_capability", "Needs a client that samples"),
    ];
    tools.extend(asking());
    tools.extend(tasks());
    tools
}

/// Tools that ask the client something before they answer.
fn asking() -> Vec<Value> {
    vec![
        tool(
            "test_sampling",
            "Asks the client's model",
            &json!({ "prompt": { "type": "string" } }),
            &["prompt"],
        ),
        tool(
            "test_elicitation",
            "Asks the client's user",
            &json!({ "message": { "type": "string" } }),
            &["message"],
        ),
        plain(
            "test_elicitation_sep1034_defaults",
            "Asks with a default for every primitive",
        ),
        plain(
            "test_elicitation_sep1330_enums",
            "Asks with every form of an enumeration",
        ),
        plain("test_streaming_elicitation", "Asks for a value"),
        plain("test_input_required_result_elicitation", "Asks for a name"),
        plain(
            "test_input_required_result_sampling",
            "Asks the model for a capital",
        ),
        plain(
            "test_input_required_result_list_roots",
            "Asks for the client's roots",
        ),
        plain(
            "test_input_required_result_request_state",
            "Asks with a state",
        ),
        plain(
            "test_input_required_result_multiple_inputs",
            "Asks for three things at once",
        ),
        plain(
            "test_input_required_result_multi_round",
            "Asks twice, one after the other",
        ),
        plain(
            "test_input_required_result_tampered_state",
            "Refuses a state that was changed",
        ),
        plain(
            "test_input_required_result_capabilities",
            "Asks only for what the client can do",
        ),
    ]
}

/// Tools of the tasks extension.
fn tasks() -> Vec<Value> {
    vec![
        tool(
            "greet",
            "Greets at once",
            &json!({ "name": { "type": "string" } }),
            &["name"],
        ),
        tool(
            "slow_compute",
            "Takes its time, as a task where the client knows tasks",
            &json!({ "seconds": { "type": "number" }, "label": { "type": "string" } }),
            &[],
        ),
        plain("failing_job", "Fails after a second, as a task"),
        plain(
            "protocol_error_job",
            "Ends with an error of the protocol, as a task",
        ),
        tool(
            "confirm_delete",
            "Asks for consent, as a task",
            &json!({ "filename": { "type": "string" } }),
            &[],
        ),
        plain("multi_input", "Asks for two things at once, as a task"),
        plain(
            "test_tool_with_task",
            "Asks for a name, then becomes a task",
        ),
    ]
}

fn structured() -> Value {
    json!({
        "name": "test_structured_content",
        "description": "Answers with an object of a declared shape",
        "inputSchema": { "type": "object", "properties": {} },
        "outputSchema": {
            "type": "object",
            "properties": { "temperature": { "type": "number" }, "unit": { "type": "string" } },
            "required": ["temperature", "unit"]
        }
    })
}

fn schema_2020_12() -> Value {
    json!({
        "name": "json_schema_2020_12_tool",
        "description": "Has a schema that uses much of JSON Schema 2020-12",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
                }
            },
            "properties": {
                "name": { "type": "string" },
                "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": { "type": "string" },
                "email": { "type": "string" }
            },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": {
                "properties": { "contactMethod": { "const": "phone" } },
                "required": ["contactMethod"]
            },
            "then": { "required": ["phone"] },
            "else": { "required": ["email"] },
            "additionalProperties": false
        }
    })
}

pub(crate) fn prompts() -> Vec<Value> {
    let argument = |name: &str, description: &str| json!({ "name": name, "description": description, "required": true });
    vec![
        json!({ "name": "test_simple_prompt", "description": "One message" }),
        json!({
            "name": "test_prompt_with_arguments",
            "description": "Repeats its arguments",
            "arguments": [argument("arg1", "First test argument"), argument("arg2", "Second test argument")]
        }),
        json!({
            "name": "test_prompt_with_embedded_resource",
            "description": "Embeds a resource",
            "arguments": [argument("resourceUri", "The resource to embed")]
        }),
        json!({ "name": "test_prompt_with_image", "description": "Shows an image" }),
        json!({
            "name": "test_input_required_result_prompt",
            "description": "Asks for a context before it answers"
        }),
    ]
}

pub(crate) fn resources() -> Vec<Value> {
    let resource = |uri: &str, name: &str, description: &str, mime_type: &str| json!({ "uri": uri, "name": name, "description": description, "mimeType": mime_type });
    vec![
        resource(
            "test://static-text",
            "Static text",
            "A text that never changes",
            "text/plain",
        ),
        resource(
            "test://static-binary",
            "Static binary",
            "An image that never changes",
            "image/png",
        ),
        resource(
            "test://watched-resource",
            "Watched resource",
            "A text that test_trigger_resource_update announces as changed",
            "text/plain",
        ),
    ]
}

pub(crate) fn templates() -> Vec<Value> {
    vec![json!({
        "uriTemplate": "test://template/{id}/data",
        "name": "Template",
        "description": "A text made from its address",
        "mimeType": "application/json"
    })]
}

#[cfg(test)]
mod tests {
    use rmcp::model::{Prompt, Resource, ResourceTemplate, Tool};

    use super::*;
    use crate::typed::typed;

    #[test]
    fn everything_listed_is_what_rmcp_lists() {
        let mut tools: Vec<Tool> = typed(Value::Array(tools())).unwrap();
        let count = tools.len();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools.dedup_by(|a, b| a.name == b.name);
        assert_eq!(tools.len(), count, "a name is listed twice");
        let _: Vec<Prompt> = typed(Value::Array(prompts())).unwrap();
        let _: Vec<Resource> = typed(Value::Array(resources())).unwrap();
        let _: Vec<ResourceTemplate> = typed(Value::Array(templates())).unwrap();
    }
}

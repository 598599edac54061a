//! The tools of the tasks extension.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities,
        CreateTaskResult,
    },
    service::RequestContext,
    task_manager::{TaskContext, TaskExit, TaskFuture, TaskOptions},
};
use serde_json::{Value, json};

use crate::{
    asks::{self, Asked},
    server::Fixture,
    tools::{complete, said},
    typed::{text, typed},
};

/// These have no answer without a task.
const NEED_A_TASK: [&str; 4] = [
    "failing_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

/// Calls `request`'s tool, or is `None` where it is no tool of this extension.
pub(crate) async fn call(
    fixture: &Fixture,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let arguments = request.arguments.clone().unwrap_or_default();
    let may = context
        .client_capabilities()
        .is_some_and(|client| client.supports_tasks());
    let name = request.name.as_ref();
    if NEED_A_TASK.contains(&name) && !may {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Some(Err(ErrorData::missing_required_client_capability(needed)));
    }
    Some(match name {
        "greet" => complete(&said(&format!("Hello, {}!", text(&arguments, "name")))),
        "slow_compute" => {
            let seconds = arguments
                .get("seconds")
                .and_then(Value::as_f64)
                .unwrap_or(1.0);
            let wait = Duration::try_from_secs_f64(seconds.min(60.0)).unwrap_or_default();
            let answer = format!("Computed {} in {seconds} s", text(&arguments, "label"));
            if may {
                spawn(fixture, move |task| Box::pin(compute(task, wait, answer)))
            } else {
                tokio::time::sleep(wait).await;
                complete(&said(&answer))
            }
        }
        "failing_job" => spawn(fixture, |task| Box::pin(fail(task))),
        "protocol_error_job" if may => spawn(fixture, |_| Box::pin(async { Err(broken().into()) })),
        "protocol_error_job" => Err(broken()),
        "confirm_delete" => {
            let filename = text(&arguments, "filename").to_owned();
            spawn(fixture, move |task| Box::pin(confirm(task, filename)))
        }
        "multi_input" => spawn(fixture, |task| Box::pin(two_inputs(task))),
        "test_tool_with_task" => name_then_task(fixture, request, context).await,
        _ => return None,
    })
}

fn spawn(
    fixture: &Fixture,
    work: impl FnOnce(TaskContext) -> TaskFuture,
) -> Result<CallToolResponse, ErrorData> {
    Ok(CreateTaskResult::new(fixture.tasks().spawn(TaskOptions::default(), work)).into())
}

async fn compute(
    task: TaskContext,
    wait: Duration,
    answer: String,
) -> Result<CallToolResult, TaskExit> {
    tokio::select! {
        () = task.cancelled() => Err(TaskExit::Cancelled),
        () = tokio::time::sleep(wait) => done(&answer),
    }
}

async fn fail(task: TaskContext) -> Result<CallToolResult, TaskExit> {
    tokio::select! {
        () = task.cancelled() => Err(TaskExit::Cancelled),
        () = tokio::time::sleep(Duration::from_secs(1)) => {
            let result = json!({ "content": said("The job failed"), "isError": true, "resultType": "complete" });
            Ok(typed(result)?)
        }
    }
}

async fn confirm(task: TaskContext, filename: String) -> Result<CallToolResult, TaskExit> {
    let answer = question(
        &task,
        "confirm",
        &format!("Delete {filename}?"),
        "confirmed",
        "boolean",
    )
    .await?;
    if answer["action"] == "accept" {
        done(&format!("Deleted {filename}"))
    } else {
        done(&format!("Kept {filename}"))
    }
}

async fn two_inputs(task: TaskContext) -> Result<CallToolResult, TaskExit> {
    let (name, color) = tokio::try_join!(
        question(&task, "name", "What is your name?", "name", "string"),
        question(
            &task,
            "color",
            "What is your favorite color?",
            "color",
            "string"
        ),
    )?;
    done(&format!(
        "{} likes {}",
        name["content"]["name"], color["content"]["color"]
    ))
}

async fn question(
    task: &TaskContext,
    key: &'static str,
    message: &str,
    field: &str,
    kind: &str,
) -> Result<Value, TaskExit> {
    let (key, method, params) = asks::elicit(key, message, &json!({ field: { "type": kind } }));
    task.request_input(key, asks::input_request(method, &params)?)
        .await
}

async fn name_then_task(
    fixture: &Fixture,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let ask = asks::elicit(
        "user_name",
        "What is your name?",
        &json!({ "name": { "type": "string" } }),
    );
    match asks::put(context, request.input_responses.as_ref(), vec![ask], None).await? {
        Asked::Required(result) => Ok(result.into()),
        Asked::Answered(answers) => {
            let content = &answers["user_name"]["content"];
            let name = content["name"]
                .as_str()
                .or_else(|| content["user_name"].as_str());
            let answer = format!("Hello, {}!", name.unwrap_or("stranger"));
            spawn(fixture, move |_| Box::pin(async move { done(&answer) }))
        }
    }
}

fn done(answer: &str) -> Result<CallToolResult, TaskExit> {
    Ok(typed(
        json!({ "content": said(answer), "resultType": "complete" }),
    )?)
}

fn broken() -> ErrorData {
    ErrorData::internal_error("The job broke the protocol", None)
}

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
        CompleteResult, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
        Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, LoggingLevel, PaginatedRequestParams, ProtocolVersion,
        ReadResourceRequestParams, ReadResourceResponse, RequestStateCodec, ServerCapabilities,
        ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};
use serde_json::{Value, json};

use crate::{
    catalog,
    eras::Eras,
    prompts, resources,
    subscribers::{Subscribers, Watched},
    tasks, tools,
    typed::typed,
};

/// Seals the request states. Everyone may read it here: what it protects is worth nothing.
const STATE_KEY: &[u8] = b"a key of the fixture, and no secret at all";

/// How long a client may keep what it was told, in milliseconds.
const TTL_MS: u64 = 60_000;

/// One session of the fixture.
///
/// [`Fixture::session`] makes further ones, which share tasks and subscribers and have a log level
/// and subscriptions of their own. A clone is the same session.
#[derive(Clone)]
pub struct Fixture {
    eras: Eras,
    log_level: Arc<Mutex<LoggingLevel>>,
    watched: Watched,
    subscribers: Subscribers,
    tasks: TaskManager,
    states: RequestStateCodec,
}

impl Fixture {
    /// Makes a fixture that speaks `eras`.
    #[must_use]
    pub fn new(eras: Eras) -> Self {
        Self {
            eras,
            log_level: Arc::new(Mutex::new(LoggingLevel::Debug)),
            watched: Watched::default(),
            subscribers: Subscribers::default(),
            tasks: TaskManager::new(),
            states: RequestStateCodec::new_unchecked(STATE_KEY),
        }
    }

    /// Makes another session of the same server.
    #[must_use]
    pub fn session(&self) -> Self {
        Self {
            log_level: Arc::new(Mutex::new(LoggingLevel::Debug)),
            watched: Watched::default(),
            ..self.clone()
        }
    }

    pub(crate) fn log_level(&self) -> LoggingLevel {
        *self
            .log_level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribers(&self) -> &Subscribers {
        &self.subscribers
    }

    pub(crate) fn tasks(&self) -> &TaskManager {
        &self.tasks
    }

    pub(crate) fn states(&self) -> &RequestStateCodec {
        &self.states
    }
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture")
            .field("eras", &self.eras)
            .finish_non_exhaustive()
    }
}

/// A list with the hints that 2026-07-28 wants; rmcp leaves them out for older clients.
fn list<T: serde::de::DeserializeOwned>(key: &str, items: &[Value]) -> Result<T, ErrorData> {
    typed(json!({ key: items, "ttlMs": TTL_MS, "cacheScope": "public", "resultType": "complete" }))
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(
                "mcp-fixture",
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions("A server for conformance tests; its answers mean nothing.")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.eras.versions()
    }

    /// rmcp compares the mirrored headers of the tools that it can look up here.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tool = catalog::tools()
            .into_iter()
            .find(|tool| tool["name"] == name)?;
        typed(tool).ok()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        list("tools", &catalog::tools())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match tasks::call(self, &request, &context).await {
            Some(answer) => answer,
            None => tools::call(self, request, &context).await,
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        list("prompts", &catalog::prompts())
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::prompt(request, &context).await
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        list("resources", &catalog::resources())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        list("resourceTemplates", &catalog::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(resources::read(&request.uri)?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = resources::completions(&request.argument.name, &request.argument.value);
        let completion = json!({ "total": values.len(), "hasMore": false, "values": values });
        typed(json!({ "completion": completion, "resultType": "complete" }))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        *self
            .log_level
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = request.level;
        Ok(())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.subscribers
            .open(context.peer, Arc::clone(&self.watched));
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        // All of it: rmcp leaves out what the capabilities do not name.
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let _listening = self.subscribers.listen(context.sink().clone());
        context.cancelled().await;
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}

use std::sync::Arc;

use axum::body::Body;
use bartizan_clock::Instant;
use bartizan_protocol::headers::MCP_SESSION_ID;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{VERSION, X_GATEWAY_VERSION, problem::Problem, types::GatewayInfo};
use crate::{
    error::Error,
    front::strategy_name,
    ids::{self, MAX_ID_LENGTH, X_AGENT_ID},
    mcp::{Door, Witness},
    service::Service,
    shared::Shared,
};

const X_GATEWAY_INFO: HeaderName = HeaderName::from_static("x-gateway-info");
const X_INSTANCE_ID: HeaderName = HeaderName::from_static("x-instance-id");
const X_STRATEGY: HeaderName = HeaderName::from_static("x-load-balancer-strategy");

/// One request at this door.
pub(super) struct Visit {
    pub(super) shared: Arc<Shared>,
    pub(super) service: Arc<Service>,
    pub(super) headers: HeaderMap,
    pub(super) received: Instant,
    pub(super) witness: Arc<Witness>,
    strategy: &'static str,
}

impl Visit {
    pub(super) fn begin(shared: &Arc<Shared>, service: &Arc<Service>, headers: HeaderMap) -> Self {
        Self {
            shared: Arc::clone(shared),
            service: Arc::clone(service),
            received: shared.clock().now(),
            witness: Arc::default(),
            strategy: strategy_name(*service.settings().strategy),
            headers,
        }
    }

    pub(super) fn template(&self) -> &Arc<str> {
        self.service.name()
    }

    pub(super) fn request_id(&self) -> &str {
        ids::text(&self.headers)
    }

    /// The agent that calls, if it says so.
    pub(super) fn agent_id(&self) -> Option<&HeaderValue> {
        let given = self.headers.get(X_AGENT_ID);
        given.filter(|id| !id.is_empty() && id.len() <= MAX_ID_LENGTH)
    }

    /// The session that the call belongs to for its caller, if it says so.
    pub(super) fn session(&self) -> Option<&HeaderValue> {
        let given = self.headers.get(MCP_SESSION_ID);
        given.filter(|id| !id.is_empty() && id.len() <= MAX_ID_LENGTH)
    }

    /// The caller's id of what the call is part of, or that of the request.
    pub(super) fn correlation_id(&self) -> HeaderValue {
        let given = ids::correlation(&self.headers).cloned();
        given.unwrap_or_else(|| ids::header(&self.headers))
    }

    /// What a strategy goes by that keeps calls together.
    pub(super) fn key(&self) -> u64 {
        let given = self.agent_id().or_else(|| self.session()).cloned();
        let id = given.unwrap_or_else(|| self.correlation_id());
        bartizan_balance::hash_key(id.as_bytes())
    }

    /// The door of MCP that leads to the service.
    pub(super) fn door(&self) -> Door {
        let caller = self.shared.caller(&self.headers);
        Door::new(&self.shared, &self.service, caller, &self.headers)
    }

    /// The same at the instance whose turn it is.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn door_in_turn(&self) -> Result<Door, Problem> {
        let door = self.door().in_turn(self.key(), &self.witness);
        door.map_err(|error| self.problem(&error))
    }

    pub(super) fn problem(&self, error: &Error) -> Problem {
        Problem::of(Some(self.template()), error)
    }

    /// The whole body of the request.
    ///
    /// # Errors
    ///
    /// When it is too large or does not arrive.
    pub(super) async fn body(&self, body: Body) -> Result<Bytes, Problem> {
        let body = self.shared.collect(body).await;
        body.map_err(|error| self.problem(&error))
    }

    /// What the answer says of how it came about; nothing if the caller does not want to know.
    pub(super) fn gateway_info(&self) -> Option<String> {
        let declined = self.headers.get(X_GATEWAY_INFO);
        if declined.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"false")) {
            return None;
        }
        let instance = self.witness.instance();
        let elapsed = self.shared.clock().now() - self.received;
        let info = GatewayInfo {
            instance_id: instance.as_deref(),
            endpoint: instance.as_deref().map(|id| self.service.place(id)),
            load_balancer_strategy: self.strategy,
            execution_time_ms: elapsed.as_millis(),
        };
        serde_json::to_string(&info).ok()
    }

    /// One line a request, for whoever turns debug on.
    pub(super) fn log(&self, operation: &str, answer: &Result<Bytes, Problem>) {
        tracing::debug!(
            template = &**self.template(),
            operation,
            request_id = self.request_id(),
            instance = self.witness.instance().as_deref(),
            status = answer.as_ref().err().map_or(200, |it| it.status().as_u16()),
            elapsed_ms = (self.shared.clock().now() - self.received).as_millis() as u64,
            "request answered"
        );
    }

    /// Adds what every answer about a template has in its head.
    pub(super) fn sign(&self, headers: &mut HeaderMap) {
        let strategy = HeaderValue::from_static(self.strategy);
        headers.insert(X_STRATEGY, strategy);
        headers.insert(X_GATEWAY_VERSION, VERSION);
        let instance = self.witness.instance();
        let instance = instance.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
        if let Some(instance) = instance {
            headers.insert(X_INSTANCE_ID, instance);
        }
    }
}

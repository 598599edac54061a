//! What is answered at `/health` and `/tools`.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{ToSchema, openapi::schema::Object};

use crate::front::docs::words;

/// The answer of `GET /health`, in the dialect that is configured.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Health {
    /// How many backends are well.
    Backends(Backends),
    /// That the gateway is there.
    App(App),
    /// Both.
    Both {
        /// How many backends are well.
        #[serde(flatten)]
        backends: Backends,
        /// The name of the gateway.
        app: &'static str,
    },
}

/// How many backends are well.
#[derive(Debug, Serialize)]
pub(crate) struct Backends {
    /// `healthy` if all are, `degraded` if some are, `unhealthy` if none is, `unknown` if there
    /// are none.
    pub(crate) status: &'static str,
    /// Services.
    pub(crate) backends_total: usize,
    /// Those whose calls go somewhere.
    pub(crate) backends_healthy: usize,
    /// Those whose calls do not.
    pub(crate) backends_unhealthy: usize,
}

/// That the gateway is there.
#[derive(Debug, Serialize)]
pub(crate) struct App {
    /// Always `ok`.
    pub(crate) status: &'static str,
    /// The name of the gateway.
    pub(crate) app: &'static str,
}

/// The answer of `GET /health` in all dialects, for the OpenAPI document: its alternatives are
/// parts of each other, which no schema tells apart.
#[derive(ToSchema)]
#[schema(as = BackendsHealth)]
#[expect(dead_code, reason = "described, never made")]
pub(crate) struct AnyHealth {
    /// `healthy` if all backends are, `degraded` if some are, `unhealthy` if none is, `unknown` if
    /// there are none; `ok` in the dialect that counts none.
    #[schema(schema_with = status)]
    status: String,
    /// Services.
    #[schema(nullable = false)]
    backends_total: Option<usize>,
    /// Those whose calls go somewhere.
    #[schema(nullable = false)]
    backends_healthy: Option<usize>,
    /// Those whose calls do not.
    #[schema(nullable = false)]
    backends_unhealthy: Option<usize>,
    /// The name of the gateway.
    #[schema(nullable = false)]
    app: Option<String>,
}

/// The answer of `GET /tools`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ToolList)]
pub(crate) struct Tools {
    /// The tools of all services, those of one service in its own order.
    pub(crate) tools: Vec<Tool>,
}

/// One tool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tool {
    /// What it is called by: its namespace, a dot, and its own name.
    pub(crate) name: String,
    /// The service that it belongs to.
    pub(crate) namespace: String,
    /// Its name there.
    pub(crate) tool_name: String,
    /// Where the service is.
    pub(crate) backend_url: String,
    /// `healthy`, `unhealthy`, `unreachable` or `unknown`: the best of the instances that have
    /// the tool.
    #[schema(schema_with = health_status)]
    pub(crate) health_status: &'static str,
    /// What it does, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) description: Option<String>,
    /// What its arguments are like, as JSON Schema, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    pub(crate) input_schema: Option<Box<RawValue>>,
}

fn status() -> Object {
    words(["healthy", "degraded", "unhealthy", "unknown", "ok"])
}

fn health_status() -> Object {
    words(["healthy", "unhealthy", "unreachable", "unknown"])
}

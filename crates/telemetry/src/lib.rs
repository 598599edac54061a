//! What the gateway says about itself: logs, metrics, request ids, trace context.
//!
//! * [`logs`] writes lines of text or JSON to standard error.
//! * [`Metrics`] is a Prometheus registry as a value. Whoever counts holds handles, such as
//!   those of [`ServiceMetrics`]; nothing looks up a metric by name while a call runs.
//! * [`RequestId`] names a request, [`TraceContext`] places it in a distributed trace.
//!
//! ```
//! use bartizan_telemetry::{CallOutcome, Metrics};
//! use std::time::Duration;
//!
//! let metrics = Metrics::new();
//! let service = metrics.service("user-service");
//! service.call().finish(CallOutcome::Success, Duration::from_millis(3));
//! let page = metrics.render();
//! assert!(page.contains(r#"bartizan_service_calls_total{service="user-service",outcome="success"} 1"#));
//! ```
//!
//! # When not to use it
//!
//! To embed one of the layers: they report through handles, listeners and hooks of their own,
//! and leave the choice of a metrics library to their user.

pub mod logs;
mod metrics;
mod request_id;
mod trace_context;
mod trace_state;

pub use metrics::{
    Call, CallOutcome, GatewayMetrics, Metrics, Reading, ServiceMetrics, reference_markdown,
};
pub use request_id::RequestId;
pub use trace_context::{InvalidTraceparent, TraceContext};
pub use trace_state::tracestate;

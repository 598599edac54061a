//! The gateway's configuration: parsed once, into one value that can explain itself.
//!
//! [`Configuration::from_environment`] reads the process environment and the file `.env`; no other
//! crate of the workspace reads either. Every value has a type that cannot be wrong and carries
//! the [`Origin`] it came from; everything that is wrong is listed at once.
//!
//! ```
//! use bartizan_config::{Configuration, Source};
//!
//! let source = Source::from_iter([
//!     ("MCP_SERVICES", "user-service"),
//!     ("MCP_SERVICE_USER_SERVICE_ENDPOINT", "user-service:8080"),
//!     ("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "bearer"),
//!     ("MCP_SERVICE_USER_SERVICE_TIMEOUT", "0"),
//! ]);
//! let errors = Configuration::parse(&source).unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     r#"Configuration errors:
//!   - Service user-service: invalid endpoint URL (MCP_SERVICE_USER_SERVICE_ENDPOINT is "user-service:8080": it must begin with http:// or https://)
//!   - Service user-service: bearer token is required (MCP_SERVICE_USER_SERVICE_TOKEN is not set)
//!   - Service user-service: timeout must be positive (MCP_SERVICE_USER_SERVICE_TIMEOUT is "0")"#
//! );
//! ```
//!
//! The same validation stands behind the programmatic way, [`GatewayConfig::builder`].
//! [`Configuration::explain`] shows the stack that a service gets, with each value and where it
//! came from. [`reference_markdown`] writes the reference from the table that parsing uses.
//!
//! # Rules
//!
//! * The process environment wins over the environment file.
//! * A variable that holds nothing but blanks counts as not set.
//! * Numbers are plain digits, durations are whole milliseconds, those of registries whole seconds.
//! * A secret can come from a file: `..._TOKEN_FILE` names the file that holds `..._TOKEN`.
//! * No message, log line or `Debug` form holds a secret's value.
//!
//! # When not to use it
//!
//! The layers know nothing of this crate. Whoever puts them into a service of their own builds
//! them with their own builders.

mod auth;
mod authorize;
mod builder;
mod check;
mod choice;
mod configuration;
mod cors;
mod development;
mod discovery;
mod dotenv;
mod endpoint;
mod expand;
mod explain;
mod gateway;
mod hosts;
mod instances;
mod mcp;
mod mcp_gateway;
mod native;
mod number;
mod origin;
mod placeholder;
mod problem;
mod program;
mod rate;
mod reach;
mod reader;
pub mod redact;
mod reference;
mod registered;
mod registry;
mod rest;
mod retry;
mod servers;
mod service;
mod setting;
mod source;
mod stdio;
mod store;
mod suggest;
mod table;
mod unknown;
mod value;
mod variable;
mod warning;

pub use auth::{AuthSettings, OAuth2Settings};
pub use authorize::{AuthorizeSettings, IdentityProvider};
pub use builder::{
    Auth, CircuitBreaker, GatewayConfig, GatewayConfigBuilder, RateLimit, RetryPolicy,
    ServiceConfig,
};
pub use check::Summary;
pub use choice::{
    ApiKeyPlace, AuthType, AuthorizeGrant, BackoffStrategy, ClientAuthentication, Dialect,
    Discovery, KeyAlgorithm, LogFormat, McpTransport, OAuth2Grant, Strategy,
};
pub use configuration::{Configuration, Mode, is_service_name};
pub use cors::CorsOrigins;
pub use discovery::{DockerSettings, KubernetesPort, KubernetesSettings};
pub use endpoint::Endpoint;
pub use explain::{Explanation, Row, UnknownService};
pub use gateway::{GatewaySettings, TlsSettings};
pub use hosts::AllowedHosts;
pub use instances::{InstanceSettings, InstanceSource};
pub use mcp::{McpSettings, ServiceKind};
pub use mcp_gateway::McpGatewaySettings;
pub use native::NativeRegistry;
pub use origin::Origin;
pub use problem::{Errors, Problem, printable};
pub use program::ProgramSettings;
pub use rate::RateLimitSettings;
pub use reach::{Reach, reachable, usual_registry};
pub use reference::reference_markdown;
pub use registered::{Registered, RegisteredKind, variable_prefix};
pub use registry::{RegistryFormat, RegistrySettings};
pub use rest::RestSettings;
pub use retry::RetrySettings;
pub use service::{CircuitBreakerSettings, FailureRatio, HealthSettings, ServiceSettings};
pub use setting::Setting;
pub use source::Source;
pub use stdio::StdioSettings;
pub use table::variables;
pub use value::Ratio;
pub use variable::Variable;
pub use warning::{Severity, Warning};

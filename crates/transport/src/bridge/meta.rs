//! The `_meta` keys by which 2026-07-28 says with every message what a handshake said once.

/// The revision that a request speaks.
pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can be asked for while it waits for the answer.
pub(super) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The name and version of the client.
pub(super) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The least grave log message that the client wants during the request.
pub(super) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The name and version of the server.
pub(super) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The `subscriptions/listen` request whose stream a notification is on.
pub(super) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// The tasks extension, in the `extensions` of either side's capabilities.
pub(super) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

//! A host before real processes.

#[allow(dead_code, reason = "shared with the tests of stdio")]
#[path = "stdio/processes.rs"]
mod processes;
#[path = "host/server.rs"]
mod server;

#[path = "host/ending.rs"]
mod ending;
#[path = "host/ping.rs"]
mod ping;
#[path = "host/sessionless.rs"]
mod sessionless;
#[path = "host/sessions.rs"]
mod sessions;

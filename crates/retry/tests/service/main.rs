//! The layer over services that do what a script says, on a paused clock.

mod attempts;
mod cancellation;
mod http;
mod readiness;
mod script;
mod tower;

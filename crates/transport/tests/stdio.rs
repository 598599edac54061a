//! Children that behave, and children that do not, as real processes.

#[path = "stdio/ending.rs"]
mod ending;
#[path = "stdio/messages.rs"]
mod messages;
#[path = "stdio/processes.rs"]
mod processes;
#[path = "stdio/starting.rs"]
mod starting;

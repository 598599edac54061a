//! Finding out how to authorize, against a resource and authorization servers on loopback.

mod asked;
mod discovery;
mod issuer;
mod kept;
mod pending;
mod refresh;
mod stage;
mod step_up;
mod user;

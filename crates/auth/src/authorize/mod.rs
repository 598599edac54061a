//! Finding out who authorizes access to a resource, and becoming authorized.

#![cfg_attr(not(feature = "authorize"), allow(dead_code, reason = "nothing flows"))]

mod challenge;
mod challenged;
mod error;

#[cfg(not(feature = "authorize"))]
mod absent;
#[cfg(feature = "authorize")]
mod address;
#[cfg(feature = "authorize")]
mod ask;
#[cfg(feature = "authorize")]
mod assertion;
#[cfg(feature = "callback")]
mod browser;
#[cfg(feature = "callback")]
mod callback;
#[cfg(feature = "authorize")]
mod client;
#[cfg(feature = "authorize")]
mod config;
#[cfg(feature = "authorize")]
mod document;
#[cfg(feature = "authorize")]
mod file;
#[cfg(feature = "authorize")]
mod flight;
#[cfg(feature = "authorize")]
mod flow;
#[cfg(feature = "authorize")]
mod identity;
#[cfg(feature = "authorize")]
mod invalid;
#[cfg(feature = "authorize")]
mod pkce;
#[cfg(feature = "authorize")]
mod redirect;
#[cfg(feature = "authorize")]
mod resource;
#[cfg(feature = "authorize")]
mod server;
#[cfg(feature = "authorize")]
mod user_agent;

pub use error::AuthorizeError;

pub(crate) use challenge::Challenge;

#[cfg(not(feature = "authorize"))]
pub(crate) use absent::Flow;
#[cfg(feature = "authorize")]
pub(crate) use flow::Flow;

#[cfg(feature = "authorize")]
pub use {
    assertion::{PrivateKey, SigningAlgorithm},
    config::{Authorize, AuthorizeBuilder},
    file::AuthorizationFile,
    identity::Identity,
    invalid::InvalidAuthorize,
    redirect::{Callback, CallbackFuture, Listening},
    user_agent::{LogAddress, UserAgent},
};
#[cfg(feature = "callback")]
pub use {browser::BrowserCommand, callback::LoopbackCallback};

mod cache;
mod chain;
mod client;
mod config;
mod error;
mod exchange;
mod flight;
mod grant;
mod invalid;
mod refresh_token_file;
mod refresh_token_store;
mod renewal;
mod shared;
mod state;
mod token;

pub use cache::{Snapshot, TokenCache};
pub use client::{NoClient, TokenClient};
pub use config::{ClientAuth, OAuth2Config, OAuth2ConfigBuilder};
pub use error::{TokenError, TokenErrorKind};
pub use grant::{Actor, Grant};
pub use invalid::InvalidOAuth2Config;
pub use refresh_token_file::RefreshTokenFile;
pub use refresh_token_store::{RefreshTokenStore, SavedRefreshToken, StoreFuture};
pub use token::Token;

#[cfg(feature = "authorize")]
pub(crate) use exchange::error_code;
pub(crate) use exchange::{Granted, Refusal};
pub(crate) use shared::Shared;

#[cfg(feature = "authorize")]
pub(crate) use {
    chain::{Chain, Turn},
    config::client_authorization,
    exchange::{Form, read as read_token},
    refresh_token_file::{about, blocking, read as read_file, replace as replace_file},
};

//! Credentials for the requests that a gateway makes.
//!
//! [`AuthLayer`] puts a [`Credential`] into each request: a bearer token, an API key (in a header,
//! the query or a cookie), a user name and password, or an OAuth2 access token that a
//! [`TokenCache`] fetches and keeps fresh. What the caller sent to prove who it is to us does not
//! reach the service.
//!
//! ```
//! use bartizan_auth::{AuthLayer, Credential, Secret};
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let upstream = service_fn(|request: Request<String>| async move {
//!     assert_eq!(request.headers()["authorization"], "Bearer ours");
//!     Ok::<_, Infallible>(Response::new(()))
//! });
//! let credential: Credential = Credential::bearer(&Secret::new("ours"))?;
//! let service = AuthLayer::new(credential).layer(upstream);
//! let request = Request::get("http://upstream/")
//!     .header("authorization", "Bearer the caller's")
//!     .body(String::new())?;
//! service.oneshot(request).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Tokens are fetched by a tower service that the program provides; this crate opens no socket.
//! Where it is not known who issues tokens for a service, `Authorize` (with the feature `authorize`)
//! finds out from what the service says when it refuses a request, and asks a user or for itself.
//!
//! With a token at hand a request costs a read of the clock and of an atomic pointer, and no
//! allocation beyond that of the header map. A request that may be repeated after a 401 is
//! copied first; [`NeverRepeat`] avoids that.
//!
//! # When not to use it
//!
//! To pass a caller's own token on to a service: a service that takes tokens meant for somebody
//! else can be tricked with them. Exchange it ([`Grant::TokenExchange`]) for one that is meant for
//! the service. To check who is calling *us* is another matter, and another crate's.

mod authorize;
mod cookie;
mod credential;
mod error;
mod future;
mod layer;
mod oauth2;
mod place;
mod prepared;
mod query;
mod repeat;
mod secret;
mod service;
mod sync;

pub use authorize::AuthorizeError;
#[cfg(feature = "authorize")]
pub use authorize::{
    AuthorizationFile, Authorize, AuthorizeBuilder, Callback, CallbackFuture, Identity,
    InvalidAuthorize, Listening, LogAddress, PrivateKey, SigningAlgorithm, UserAgent,
};
#[cfg(feature = "callback")]
pub use authorize::{BrowserCommand, LoopbackCallback};
pub use credential::Credential;
pub use error::{Error, InvalidCredential, Unplaceable};
pub use future::ResponseFuture;
pub use layer::AuthLayer;
pub use oauth2::{
    Actor, ClientAuth, Grant, InvalidOAuth2Config, NoClient, OAuth2Config, OAuth2ConfigBuilder,
    RefreshTokenFile, RefreshTokenStore, SavedRefreshToken, Snapshot, StoreFuture, Token,
    TokenCache, TokenClient, TokenError, TokenErrorKind,
};
pub use place::Place;
pub use prepared::Prepared;
pub use repeat::{ByMethod, NeverRepeat, RepeatPolicy};
pub use secret::{Secret, SecretFileError};
pub use service::Auth;

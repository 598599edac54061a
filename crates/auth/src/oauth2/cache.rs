use std::{fmt, sync::Arc};

use bartizan_clock::{Clock, Instant};
use http::header::{AUTHORIZATION, HeaderMap};

use crate::authorize::Challenge;
#[cfg(feature = "authorize")]
use crate::{Authorize, authorize::Flow};

use super::{
    OAuth2Config, Token, TokenClient, TokenError,
    shared::{Boarding, Shared},
};

/// A token that is fetched when it is first needed, renewed before it expires, and replaced when
/// a service refuses it.
///
/// At most one request for a token is under way at a time, whoever asks and however many; it is
/// a task of its own, so that callers may go away. All clones are one cache. The algorithm is
/// that of the identity cache of AWS's SDK for Rust, plus what rotating refresh tokens and
/// tokens revoked before their time require:
///
/// * Until shortly before its expiry a token is read without a lock. From then on it is renewed
///   in the background and still served. Only after its expiry do callers wait.
/// * A failure is told to all who wait, and remembered for a pause that grows; `invalid_grant` is
///   remembered for good, because only another configuration can help.
/// * A new refresh token is stored before anybody is told of the access token that came with it.
/// * A service's refusal concerns the token that it was shown, by its generation: one that comes
///   late does not cost the next token.
///
/// ```
/// use bartizan_auth::{Grant, OAuth2Config, Secret, TokenCache};
/// use bartizan_clock::Clock;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use std::convert::Infallible;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// // In a program this is an HTTP client, such as that of hyper-util.
/// let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
///     let token = r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#;
///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(token)))
/// });
/// let url = "https://issuer.example/token".parse()?;
/// let config = OAuth2Config::builder(url, Grant::ClientCredentials)
///     .client_id("gate")
///     .client_secret(Secret::new("s3cr3t"))
///     .build()?;
/// let cache = TokenCache::new(config, client, Clock::default());
/// assert!(cache.current().is_none());
/// assert_eq!(cache.token().await?.header(), "Bearer t0ken");
/// assert!(cache.current().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct TokenCache<S> {
    shared: Arc<Shared<S>>,
}

impl<S> TokenCache<S> {
    /// A cache that fetches tokens by `client` when they are needed, and nothing before.
    pub fn new(config: OAuth2Config, client: S, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared::new(config, client, clock)),
        }
    }

    /// A cache that finds out how to authorize when a service has refused a request.
    #[cfg(feature = "authorize")]
    pub fn authorize(authorize: Authorize, client: S, clock: Clock) -> Self {
        let mut shared = Shared::new(authorize.oauth2.clone(), client, clock);
        shared.flow = Some(Arc::new(Flow::new(authorize)));
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A cache under another configuration, for whoever has used this one.
    ///
    /// Where both begin with the same refresh token, for the same endpoint, it goes on with the
    /// newest that came of that. This cache may go on as well: they take turns in presenting what is
    /// the newest then. Of access tokens it knows none that this one fetched.
    pub fn reconfigured(&self, config: OAuth2Config, client: S) -> Self {
        let mut shared = Shared::new(config, client, self.shared.clock);
        if shared.config.continues(&self.shared.config) {
            shared.chain = Arc::clone(&self.shared.chain);
        }
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A cache that finds out how to authorize in another way, for whoever has used this one.
    ///
    /// Where both ask a user, would be the same client to an issuer, and are not kept in two different
    /// files, it goes on with what this one was granted, and the user is not asked again. This cache
    /// may go on as well: they take turns in presenting the refresh token that is the newest then. Of
    /// access tokens it knows none that this one fetched.
    #[cfg(feature = "authorize")]
    pub fn reauthorized(&self, authorize: Authorize, client: S) -> Self {
        let mut shared = Shared::new(authorize.oauth2.clone(), client, self.shared.clock);
        let mut flow = Flow::new(authorize);
        if let Some(before) = &self.shared.flow {
            flow.join(before);
        }
        shared.flow = Some(Arc::new(flow));
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Fetches tokens by `client` from the next request on, which all clones do then.
    pub fn fetch_by(&self, client: S) {
        *self.shared.client.lock() = client;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<S>> {
        &self.shared
    }

    /// The token, if there is one that has not expired. Never starts anything.
    pub fn current(&self) -> Option<Arc<Token>> {
        let token = self.shared.current.load_full()?;
        token.is_valid(self.shared.clock.now()).then_some(token)
    }

    /// Forgets the token of this generation for good, and no other; whether it was there.
    ///
    /// For an operator who knows that it was revoked. When a service says so, use
    /// [`TokenCache::unauthorized`].
    pub fn invalidate(&self, generation: u64) -> bool {
        self.shared.invalidate(generation)
    }

    /// Waits until a refresh token that is being replaced has been saved, or will not be: for who
    /// is about to end the process. The next one would present the old token otherwise, which
    /// revokes the family.
    ///
    /// Waits for the request that is under way, however long that takes, and for none that begins
    /// later. Where nothing is saved there is nothing to wait for.
    ///
    /// # Cancellation
    ///
    /// Dropping the future changes nothing.
    pub async fn settled(&self) {
        let shared = &self.shared;
        if shared.config.store.is_none() && shared.flow.is_none() {
            return;
        }
        let flights = {
            let state = shared.state.lock();
            [state.flight().cloned(), state.step_up().cloned()]
        };
        for mut flight in flights.into_iter().flatten() {
            // Callers may have been sent away before; it ends when nobody can tell them more.
            while flight.changed().await.is_ok() {}
        }
    }

    /// What has happened so far, for health and metrics.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.clock.now();
        let state = self.shared.state.lock();
        let current = self.shared.current.load();
        Snapshot {
            generation: state.generation,
            refreshes: state.refreshes,
            failures: state.failures,
            expires_at: current.as_ref().map(|token| token.expires_at()),
            refreshing: state.flight().or(state.step_up()).is_some(),
            unsaved: self.shared.is_unsaved(),
            last_error: state.last_error(now),
        }
    }
}

impl<S: TokenClient> TokenCache<S> {
    /// The token; waits for one if there is none.
    ///
    /// # Errors
    ///
    /// When the token endpoint gives none within the load timeout, or failed so short a time ago
    /// that it is not asked again.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves a request that is under way to itself and to the others who
    /// wait for it; the token is there for the next caller.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub async fn token(&self) -> Result<Arc<Token>, TokenError> {
        let now = self.shared.clock.now();
        if let Some(token) = self.shared.current.load_full()
            && (token.is_fresh(now) || self.shared.renew(&token, now))
        {
            return Ok(token);
        }
        let flight = match self.shared.board() {
            Boarding::Token(token) => return Ok(token),
            Boarding::Failed(error) => return Err(error),
            Boarding::Wait(flight) => flight,
        };
        let landed = self.shared.landed(flight).await;
        // A token that a service refused came back; it is better than none.
        landed.or_else(|error| self.current().ok_or(error))
    }

    /// Tells the cache that a service answered 401 to the token of this generation; whether a
    /// different token is there or on its way, so that it makes sense to ask the service again.
    ///
    /// Starts the fetching of another token and lets callers wait for it. If that fails, the
    /// refused token comes back: the refusal may have been about one request only. Three refusals
    /// in a row are followed up at once, further ones with growing pauses, so that a service
    /// which refuses every token does not turn its load over to the issuer.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub fn unauthorized(&self, generation: u64) -> bool {
        if let Some(flow) = &self.shared.flow {
            let challenge = Challenge::default();
            return self.shared.challenged(flow, generation, challenge);
        }
        self.shared.unauthorized(generation)
    }

    /// Puts the token into `headers` and tells its generation, if nobody has to wait for it.
    #[inline]
    pub(crate) fn show(&self, headers: &mut HeaderMap) -> Option<u64> {
        let now = self.shared.clock.now();
        let current = self.shared.current.load();
        let token = current.as_ref()?;
        if !token.is_fresh(now) && !self.shared.renew(token, now) {
            return None;
        }
        headers.insert(AUTHORIZATION, token.header().clone());
        Some(token.generation())
    }
}

// By hand, because a derived one would ask the same of the client.
impl<S> Clone for TokenCache<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> fmt::Debug for TokenCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("config", &self.shared.config)
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}

/// What a [`TokenCache`] has been through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The generation of the newest token; zero before the first.
    pub generation: u64,
    /// Tokens fetched.
    pub refreshes: u64,
    /// Attempts that brought no token.
    pub failures: u64,
    /// When the current token expires, if there is one.
    pub expires_at: Option<Instant>,
    /// Whether a request for a token is under way.
    pub refreshing: bool,
    /// Whether the newest refresh token is not saved, as where that failed: a restart would present
    /// an old one, or know of none.
    pub unsaved: bool,
    /// Why the last attempt brought no token, unless one has succeeded since.
    pub last_error: Option<TokenError>,
}

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION};
use tower_layer::Layer;

use crate::{Auth, ByMethod, Credential, NoClient};

/// Puts a credential into every request, in place of the caller's.
///
/// All services made from a layer, and from its clones, share the credential and with it the
/// token cache. Belongs inside the retry layer, so that a repeated request carries the newest
/// token, and inside the circuit breaker, which counts a missing token as nobody's failure.
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthLayer<S = NoClient, P = ByMethod> {
    settings: Arc<Settings<S>>,
    policy: P,
}

/// What services of a layer share.
#[derive(Debug)]
pub(crate) struct Settings<S> {
    pub(crate) credential: Credential<S>,
    /// What is removed from every request; not what the credential replaces anyway.
    pub(crate) stripped: Box<[HeaderName]>,
}

impl<S> AuthLayer<S> {
    /// A layer with this credential, which strips `authorization`, `proxy-authorization`,
    /// `cookie` and `x-api-key` from what comes in, and repeats after a 401 what the method
    /// allows.
    pub fn new(credential: Credential<S>) -> Self {
        let inbound = [
            AUTHORIZATION,
            PROXY_AUTHORIZATION,
            COOKIE,
            HeaderName::from_static("x-api-key"),
        ];
        Self {
            settings: Settings::new(credential, inbound),
            policy: ByMethod,
        }
    }
}

impl<S, P> AuthLayer<S, P> {
    /// The headers to remove from every request, in place of the default ones.
    ///
    /// What a caller proves to us is not to be shown to a service: leave out of the list only
    /// what must reach it, such as `cookie`. Whatever the list, the header, query parameter or
    /// cookie that the credential goes into is replaced.
    pub fn strip(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        Self {
            settings: Settings::new(self.settings.credential.clone(), headers),
            policy: self.policy,
        }
    }

    /// Whether a request may be sent again after a 401 to its OAuth2 token: a
    /// [`RepeatPolicy`](crate::RepeatPolicy), such as a function from `&Request<B>` to `bool`.
    pub fn on_unauthorized<Q>(self, policy: Q) -> AuthLayer<S, Q> {
        AuthLayer {
            settings: self.settings,
            policy,
        }
    }

    /// The credential.
    pub fn credential(&self) -> &Credential<S> {
        &self.settings.credential
    }
}

impl<S> Settings<S> {
    fn new(credential: Credential<S>, strip: impl IntoIterator<Item = HeaderName>) -> Arc<Self> {
        let replaced = credential.replaces().cloned();
        let stripped = strip
            .into_iter()
            .filter(|name| Some(name) != replaced.as_ref())
            .collect();
        Arc::new(Self {
            credential,
            stripped,
        })
    }
}

impl<Inner, S, P: Clone> Layer<Inner> for AuthLayer<S, P> {
    type Service = Auth<Inner, S, P>;

    fn layer(&self, inner: Inner) -> Self::Service {
        Auth::new(inner, Arc::clone(&self.settings), self.policy.clone())
    }
}

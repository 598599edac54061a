use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header::AUTHORIZATION};
use tower_service::Service;

use crate::{
    ByMethod, Credential, Error, NoClient, RepeatPolicy, ResponseFuture, TokenClient,
    future::{Again, Shown, State, Waiting},
    layer::Settings,
};

/// A service that puts a credential into each request. Made by [`AuthLayer`](crate::AuthLayer).
///
/// By default bodies must be `Clone`, because a request may have to be sent again after a 401.
/// With [`NeverRepeat`](crate::NeverRepeat) they need not.
#[must_use]
pub struct Auth<Inner, S = NoClient, P = ByMethod> {
    inner: Inner,
    settings: Arc<Settings<S>>,
    policy: P,
}

impl<Inner, S, P> Auth<Inner, S, P> {
    pub(crate) fn new(inner: Inner, settings: Arc<Settings<S>>, policy: P) -> Self {
        Self {
            inner,
            settings,
            policy,
        }
    }

    /// The service inside.
    pub fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl<Inner, S, P, B, ResBody> Service<Request<B>> for Auth<Inner, S, P>
where
    Inner: Service<Request<B>, Response = Response<ResBody>> + Clone,
    S: TokenClient,
    P: RepeatPolicy<B>,
{
    type Response = Response<ResBody>;
    type Error = Error<Inner::Error>;
    type Future = ResponseFuture<Inner, S, B>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    // Always inlined, as a layer's call has one caller, the layer outside: what is handed over
    // through memory is copied at every layer.
    #[inline(always)]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !request.headers().is_empty() {
            for name in &self.settings.stripped {
                request.headers_mut().remove(name);
            }
        }
        let shown = match &self.settings.credential {
            Credential::None => None,
            Credential::Bearer(it) | Credential::ApiKey(it) | Credential::Basic(it) => {
                if let Err(error) = it.apply(&mut request) {
                    return ResponseFuture {
                        state: State::Failed(error.into()),
                    };
                }
                None
            }
            Credential::OAuth2(cache) => {
                let generation = cache.show(request.headers_mut());
                let copy = self.policy.copy(&request);
                let generation = match generation {
                    Some(generation) => generation,
                    None if cache.shared().is_unchallenged() => {
                        request.headers_mut().remove(AUTHORIZATION);
                        0
                    }
                    None => {
                        let unready = self.inner.clone();
                        let service = mem::replace(&mut self.inner, unready);
                        let first = Again { service, request };
                        return ResponseFuture {
                            state: State::Waiting(Waiting::boxed(cache.clone(), first, copy)),
                        };
                    }
                };
                Some(Shown {
                    cache: cache.clone(),
                    generation,
                    again: Again::by(&self.inner, copy),
                })
            }
        };
        // Written where it stays.
        ResponseFuture {
            state: State::Calling {
                future: self.inner.call(request),
                shown,
            },
        }
    }
}

impl<Inner: Clone, S, P: Clone> Clone for Auth<Inner, S, P> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            Arc::clone(&self.settings),
            self.policy.clone(),
        )
    }
}

impl<Inner: fmt::Debug, S, P> fmt::Debug for Auth<Inner, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("inner", &self.inner)
            .field("credential", &self.settings.credential)
            .finish_non_exhaustive()
    }
}

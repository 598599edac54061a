use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header::AUTHORIZATION};
use tower_service::Service;

use crate::{
    ByMethod, Credential, Error, NoClient, RepeatPolicy, ResponseFuture, TokenClient,
    future::{Again, Shown},
    layer::Settings,
};

/// A service that puts a credential into each request. Made by [`AuthLayer`](crate::AuthLayer).
///
/// Bodies must be `Clone`, because a request may have to be sent again after a 401; bytes are,
/// at the cost of a counter.
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
    B: Clone,
{
    type Response = Response<ResBody>;
    type Error = Error<Inner::Error>;
    type Future = ResponseFuture<Inner, S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        for name in &self.settings.stripped {
            request.headers_mut().remove(name);
        }
        let cache = match &self.settings.credential {
            Credential::None => return ResponseFuture::plain(self.inner.call(request)),
            Credential::Bearer(it) | Credential::ApiKey(it) | Credential::Basic(it) => {
                return match it.apply(&mut request) {
                    Ok(()) => ResponseFuture::plain(self.inner.call(request)),
                    Err(error) => ResponseFuture::failed(error.into()),
                };
            }
            Credential::OAuth2(cache) => cache,
        };
        let may_repeat = self.policy.may_repeat(&request);
        if let Some((header, generation)) = cache.header() {
            let again = may_repeat.then(|| Again {
                service: self.inner.clone(),
                request: request.clone(),
            });
            request.headers_mut().insert(AUTHORIZATION, header);
            let shown = Shown {
                cache: cache.clone(),
                generation,
                again,
            };
            ResponseFuture::calling(self.inner.call(request), shown)
        } else {
            let unready = self.inner.clone();
            let service = mem::replace(&mut self.inner, unready);
            let first = Again { service, request };
            ResponseFuture::waiting(cache.clone(), first, may_repeat)
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

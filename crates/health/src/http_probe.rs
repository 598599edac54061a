use std::{error::Error, future::poll_fn};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::Full;
use tower_service::Service;

use crate::{Probe, ProbeResult, Target};

/// Alive is what answers `GET` with anything but a server error.
///
/// | answer | found |
/// |---|---|
/// | below 500 | alive: someone is there and speaks HTTP |
/// | 401, 403 | alive: reachable, and wary of strangers |
/// | 404 | alive, for services without a health endpoint; dead if [`strict`](HttpProbe::strict) |
/// | 500 and above | dead |
/// | none | unreachable |
///
/// The path is appended to the base path of the instance, unless the target says where its
/// [health](Target::health_url) is asked for. Only the head of the response is awaited; its body
/// is dropped.
#[derive(Clone, Debug)]
pub struct HttpProbe<S> {
    path: PathAndQuery,
    client: S,
    strict: bool,
}

impl<S> HttpProbe<S> {
    /// A probe that asks `client` for `path`, such as `/health`.
    ///
    /// Use a client of its own, not the one that requests go through: a probe that shares its
    /// pool, limits or circuit breaker finds them in the state that it should get them out of.
    pub fn new(path: PathAndQuery, client: S) -> Self {
        Self {
            path,
            client,
            strict: false,
        }
    }

    /// Counts 404 as dead, for services that are known to have the path.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    fn request(&self, target: &Target) -> Result<Request<Full<Bytes>>, http::Error> {
        if let Some(url) = &target.health_url {
            return Request::get(url.clone()).body(Full::default());
        }
        let base = target.uri.path().trim_end_matches('/');
        let path = format!("{base}{}", self.path);
        let mut parts = target.uri.clone().into_parts();
        parts.path_and_query = Some(path.parse()?);
        Request::get(Uri::from_parts(parts)?).body(Full::default())
    }

    fn verdict(&self, status: StatusCode) -> ProbeResult {
        let missing = self.strict && status == StatusCode::NOT_FOUND;
        if status.is_server_error() || status.as_u16() >= 600 || missing {
            ProbeResult::dead(format_args!("answered {}", status.as_u16()))
        } else {
            ProbeResult::Alive
        }
    }
}

impl<S, B> Probe for HttpProbe<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Error + Send + 'static,
    S::Future: Send,
    B: Send,
{
    async fn probe(&self, target: &Target) -> ProbeResult {
        let request = match self.request(target) {
            Ok(request) => request,
            Err(error) => return ProbeResult::dead(error),
        };
        let mut client = self.client.clone();
        if let Err(error) = poll_fn(|cx| client.poll_ready(cx)).await {
            return ProbeResult::unreachable(root(&error));
        }
        match client.call(request).await {
            Ok(response) => self.verdict(response.status()),
            Err(error) => ProbeResult::unreachable(root(&error)),
        }
    }
}

/// The first cause of `error`: "connection refused" rather than "client error".
fn root<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests {
    use bartizan_testkit::{Reply, Upstream};
    use hyper_util::{
        client::legacy::{Client, connect::HttpConnector},
        rt::TokioExecutor,
    };

    use super::*;

    fn http_probe() -> HttpProbe<Client<HttpConnector, Full<Bytes>>> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        HttpProbe::new(PathAndQuery::from_static("/health"), client)
    }

    fn target(uri: &str) -> Target {
        Target::new("a", uri.parse().unwrap())
    }

    #[tokio::test]
    async fn everything_below_500_is_alive() {
        let upstream = Upstream::start().await;
        let target = target(&upstream.url());
        for status in [200, 204, 302, 400, 401, 403, 404, 429] {
            upstream.reply(Reply::status(status));
            assert!(http_probe().probe(&target).await.is_alive(), "{status}");
        }
        for status in [500, 502, 503] {
            upstream.reply(Reply::status(status));
            let result = http_probe().probe(&target).await;
            assert_eq!(result, ProbeResult::dead(format!("answered {status}")));
        }
        upstream.reply(Reply::status(404));
        assert!(!http_probe().strict().probe(&target).await.is_alive());
    }

    #[tokio::test]
    async fn the_path_is_appended_to_the_base_path() {
        let upstream = Upstream::start().await;
        for (base, path) in [("", "/health"), ("/", "/health"), ("/api/", "/api/health")] {
            let target = target(&format!("{}{base}", upstream.url()));
            assert!(http_probe().probe(&target).await.is_alive());
            assert_eq!(upstream.requests().last().unwrap().uri.path(), path);
        }
    }

    #[tokio::test]
    async fn a_target_may_say_where_its_health_is_asked_for() {
        let (instance, elsewhere) = (Upstream::start().await, Upstream::start().await);
        let url = format!("{}/status?deep=1", elsewhere.url());
        let target = target(&instance.url()).with_health_url(url.parse().unwrap());
        assert!(http_probe().probe(&target).await.is_alive());
        let asked = elsewhere.requests().pop().unwrap();
        assert_eq!(asked.uri.to_string(), "/status?deep=1");
        elsewhere.reply(Reply::status(503));
        let result = http_probe().probe(&target).await;
        assert_eq!(result, ProbeResult::dead("answered 503"));
        assert!(instance.requests().is_empty());
    }

    #[tokio::test]
    async fn no_answer_is_unreachable_and_says_why() {
        let nobody = Upstream::nobody();
        let result = http_probe()
            .probe(&target(&format!("http://{nobody}")))
            .await;
        let ProbeResult::Unreachable(reason) = result else {
            panic!("{result:?}")
        };
        assert!(reason.contains("refused"), "{reason}");
        let upstream = Upstream::start().await;
        upstream.reply(Reply::close());
        assert!(
            !http_probe()
                .probe(&target(&upstream.url()))
                .await
                .is_alive()
        );
    }
}

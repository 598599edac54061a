//! Layers that know HTTP, and the stack of five, around a service that says 200.

use std::{convert::Infallible, future::ready, sync::Arc};

use bartizan_auth::{
    Auth, AuthLayer, Credential, Grant, NeverRepeat, NoClient, OAuth2Config, Place, Secret,
    TokenCache,
};
use bartizan_balance::{Balance, Strategy};
use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use bartizan_classify::HttpClassifier;
use bartizan_clock::Clock;
use bartizan_rate_limit::{RateLimitLayer, RateLimiter};
use bartizan_retry::{HttpPolicy, RetryBudget, RetryConfig, RetryLayer};
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http::auth::AddAuthorizationLayer;

use super::{
    Instrument,
    floor::{Breaker, Bucket, Five, Fleet, Floor},
    services::{Insert, LONG, Origin, balancer, filling_budget, full_budget, quota},
};

/// A token as long as a short JWT.
const TOKEN: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

fn get(_: usize) -> Request<()> {
    Request::new(())
}

/// Everything over `http::Request<()>`.
pub(crate) fn http(instrument: &mut impl Instrument) {
    instrument.service("none", Origin, get);
    instrument.service("header insertion", insert(Origin), get);

    let layer = AddAuthorizationLayer::bearer(TOKEN);
    instrument.service("tower-http AddAuthorization", layer.layer(Origin), get);

    instrument.service("bartizan auth, bearer", bearer(Origin), get);
    let credential = Credential::<NoClient>::api_key(Place::default(), &Secret::new(TOKEN));
    let layer = AuthLayer::new(credential.expect("a valid key"));
    instrument.service("bartizan auth, API key", layer.layer(Origin), get);
    let cached = oauth2();
    let layer = cached.clone().on_unauthorized(NeverRepeat);
    instrument.service("bartizan auth, OAuth2 cached", layer.layer(Origin), get);
    let row = "bartizan auth, OAuth2 cached, repeatable";
    instrument.service(row, cached.layer(Origin), get);

    let clock = Clock::default();
    let kind = Five {
        paid_in: Arc::default(),
        bucket: Bucket::new(clock),
        breaker: Breaker::new(clock),
        header: insert(Origin).value,
        fleet: Fleet::of_three(),
    };
    let inner = Origin;
    instrument.service("floor of a stack of five", Floor { inner, kind }, get);
    let service = stack(clock, full_budget(clock));
    instrument.service("bartizan stack of five", service, get);
    let service = stack(clock, filling_budget(clock));
    instrument.service("bartizan stack of five, budget filling", service, get);
}

fn insert<S>(inner: S) -> Insert<S> {
    let mut value = HeaderValue::from_static(TOKEN);
    value.set_sensitive(true);
    Insert { inner, value }
}

fn bearer<S>(inner: S) -> Auth<S> {
    let credential = Credential::bearer(&Secret::new(TOKEN)).expect("a valid token");
    AuthLayer::new(credential).layer(inner)
}

type Issuer = tower::util::ServiceFn<
    fn(
        Request<http_body_util::Full<bytes::Bytes>>,
    ) -> std::future::Ready<Result<Response<http_body_util::Full<bytes::Bytes>>, Infallible>>,
>;

/// A cache whose token is there and stays.
fn oauth2() -> AuthLayer<Issuer> {
    let grant = Grant::RefreshToken {
        access: Some(Secret::new(TOKEN)),
        refresh: Secret::new("refresh"),
    };
    let url = "https://issuer.example/token".parse().expect("a URI");
    let config = OAuth2Config::builder(url, grant)
        .default_lifetime(LONG)
        .build()
        .expect("a valid configuration");
    let issuer: Issuer = service_fn(|_| ready(Ok(Response::default())));
    let cache = TokenCache::new(config, issuer, Clock::default());
    AuthLayer::new(Credential::oauth2(cache))
}

/// The five layers in the order of a gateway, over three instances.
fn stack(
    clock: Clock,
    budget: RetryBudget,
) -> impl Service<Request<()>, Response = Response<()>, Error: std::fmt::Debug> + Clone + Send {
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::default(), clock);
    let balance = Balance::new(
        balancer(Strategy::RoundRobin, 3, Origin),
        HttpClassifier::default(),
    );
    ServiceBuilder::new()
        .layer(RetryLayer::new(
            HttpPolicy::new(clock),
            RetryConfig::default(),
            Some(budget),
            clock,
        ))
        .layer(RateLimitLayer::new(RateLimiter::new(quota(), clock)))
        .layer(CircuitBreakerLayer::new(breaker, HttpClassifier::default()))
        .service(bearer(balance))
}

//! What goes on while a user thinks, on a clock that stands still.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use bartizan_auth::{
    AuthLayer, AuthorizationFile, Authorize, AuthorizeBuilder, Callback, CallbackFuture,
    Credential, Listening, LogAddress, TokenCache, TokenClient,
};
use bartizan_clock::Clock;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};

use crate::stage::pairs;

const HOST: &str = "https://api.example";

/// A service that authorizes access to itself, and replaces each refresh token that is presented.
#[derive(Clone, Debug, Default)]
struct Service(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    /// How long users think, and how often one was asked.
    thinks: Duration,
    asked: usize,
    /// How long each token takes, and each call.
    delay: Duration,
    latency: Duration,
    /// How long tokens live, in seconds, and whether others come with them.
    lives: u64,
    rotates: bool,
    /// Whether the service demands what is granted from the second consent on.
    demands_more: bool,
    wide: HashSet<String>,
    /// The tokens that are good.
    live: HashSet<String>,
    /// Refresh tokens that were presented and not good.
    spent: usize,
    forms: Vec<HashMap<String, String>>,
}

impl Service {
    fn new(lives: u64, rotates: bool) -> Self {
        let script = Script {
            lives,
            rotates,
            ..Script::default()
        };
        Self(Arc::new(Mutex::new(script)))
    }

    fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.0.lock())
    }

    fn user(&self) -> AuthorizeBuilder {
        Authorize::authorization_code(HOST, self.clone(), LogAddress)
    }

    fn cache(&self) -> TokenCache<impl TokenClient + use<>> {
        TokenCache::authorize(self.user().build().unwrap(), self.client(), Clock::tokio())
    }

    fn client(&self) -> impl TokenClient + use<> {
        let this = self.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let this = this.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let answer = match &*path {
                    "/.well-known/oauth-authorization-server" => json!({
                        "issuer": HOST,
                        "authorization_endpoint": format!("{HOST}/authorize"),
                        "token_endpoint": format!("{HOST}/token"),
                        "registration_endpoint": format!("{HOST}/register"),
                        "code_challenge_methods_supported": ["S256"],
                        "token_endpoint_auth_methods_supported": ["none"],
                    }),
                    "/register" => json!({"client_id": "gate"}),
                    "/token" => {
                        let answer = this.script(|it| it.grant(pairs(&body)));
                        sleep(this.script(|it| it.delay)).await;
                        answer
                    }
                    _ => Value::Null,
                };
                let status = if answer["error"].is_string() {
                    400
                } else {
                    200
                };
                let response = Response::builder().status(status);
                Ok::<_, Infallible>(
                    response
                        .body(Full::<Bytes>::from(answer.to_string()))
                        .unwrap(),
                )
            }
        })
    }

    /// The status of the answer to a call, or zero if the service was not asked.
    async fn call<S: TokenClient>(&self, cache: &TokenCache<S>) -> u16 {
        let this = self.clone();
        let service = service_fn(move |request: Request<Full<Bytes>>| {
            let shown = request.headers().get("authorization").cloned();
            let answer = this.script(|it| it.admit(shown.as_ref().and_then(|it| it.to_str().ok())));
            let latency = this.script(|it| it.latency);
            async move {
                sleep(latency).await;
                Ok::<_, Infallible>(answer)
            }
        });
        let always: fn(&Request<Full<Bytes>>) -> bool = |_| true;
        let layer = AuthLayer::new(Credential::oauth2(cache.clone())).on_unauthorized(always);
        let answer = layer.layer(service).oneshot(Request::new(Full::default()));
        answer.await.map_or(0, |answer| answer.status().as_u16())
    }

    /// The grants that were asked for, and what was presented.
    fn presented(&self) -> Vec<String> {
        let grant = |form: &HashMap<String, String>| {
            let token = form.get("refresh_token").or_else(|| form.get("code"));
            token.unwrap().clone()
        };
        self.script(|it| it.forms.iter().map(grant).collect())
    }
}

impl Script {
    fn grant(&mut self, form: HashMap<String, String>) -> Value {
        let number = self.forms.len() + 1;
        let wide = match form.get("refresh_token") {
            Some(token) if self.live.remove(token) => self.wide.contains(token),
            Some(_) => {
                self.spent += 1;
                self.forms.push(form);
                return json!({"error": "invalid_grant"});
            }
            None => self.asked > 1,
        };
        self.forms.push(form);
        let [access, refresh] = ["access", "refresh"].map(|it| format!("{it}-{number}"));
        self.live.extend([access.clone(), refresh.clone()]);
        if wide {
            self.wide.extend([access.clone(), refresh.clone()]);
        }
        let mut answer = json!({"access_token": access, "expires_in": self.lives});
        if self.rotates {
            answer["refresh_token"] = json!(refresh);
        }
        answer
    }

    fn admit(&self, shown: Option<&str>) -> Response<Full<Bytes>> {
        let token = shown.and_then(|it| it.strip_prefix("Bearer "));
        let response = match token.filter(|it| self.live.contains(*it)) {
            None => Response::builder().status(401),
            Some(token) if self.demands_more && !self.wide.contains(token) => {
                let challenge = "Bearer error=\"insufficient_scope\", scope=\"more\"";
                Response::builder()
                    .status(403)
                    .header("www-authenticate", challenge)
            }
            Some(_) => Response::builder().status(200),
        };
        response.body(Full::default()).unwrap()
    }
}

impl Callback for Service {
    fn listen<'a>(&'a self, state: &'a str, _: Option<&'a str>) -> CallbackFuture<'a, Listening> {
        let (thinks, number) = self.script(|it| {
            it.asked += 1;
            (it.thinks, it.asked)
        });
        let query = format!("code=code-{number}&state={state}");
        Box::pin(async move {
            Ok(Listening {
                redirect_uri: "http://127.0.0.1:1/callback".into(),
                query: Box::pin(async move {
                    sleep(thinks).await;
                    Ok(query)
                }),
            })
        })
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_token_does_not_grow_old_while_the_user_thinks() {
    let service = Service::new(60, false);
    service.script(|it| it.thinks = seconds(120));
    let cache = service.cache();
    assert_eq!(service.call(&cache).await, 401);
    sleep(seconds(120)).await;
    assert_eq!(service.call(&cache).await, 200);
    assert_eq!(service.script(|it| it.asked), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_lifetime_is_good_until_it_is_refused() {
    for rotates in [false, true] {
        let service = Service::new(0, rotates);
        let cache = service.cache();
        for _ in 0..10 {
            assert_eq!(service.call(&cache).await, 200);
            sleep(seconds(10)).await;
        }
        assert_eq!(service.presented(), ["code-1"]);
        service.script(|it| it.live.remove("access-1"));
        assert_eq!(service.call(&cache).await, 200);
        assert_eq!(service.presented().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_is_not_lost_to_a_slow_answer() {
    let service = Service::new(60, true);
    let cache = service.cache();
    assert_eq!(service.call(&cache).await, 200);
    service.script(|it| it.delay = seconds(25));
    sleep(seconds(60)).await;
    assert_eq!(service.call(&cache).await, 200);
    sleep(seconds(60)).await;
    assert_eq!(service.call(&cache).await, 200);
    assert_eq!(service.presented(), ["code-1", "refresh-1", "refresh-2"]);
}

/// A user is asked for more, after a first consent that was given at once.
async fn asked_for_more(lives: u64) -> (Service, TokenCache<impl TokenClient>) {
    let service = Service::new(lives, true);
    let cache = service.cache();
    assert_eq!(service.call(&cache).await, 200);
    service.script(|it| (it.demands_more, it.thinks) = (true, seconds(250)));
    assert_eq!(service.call(&cache).await, 403);
    service.script(|it| it.demands_more = false);
    (service, cache)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_while_a_user_is_asked_for_more() {
    let (service, cache) = asked_for_more(60).await;
    for _ in 0..21 {
        assert_eq!(service.call(&cache).await, 200, "{:?}", cache.snapshot());
        sleep(seconds(10)).await;
    }
    assert!(service.presented().len() >= 4, "{:?}", service.presented());
    assert_eq!(service.script(|it| (it.asked, it.spent)), (2, 0));
    // Who wants more still waits, and the answer is not lost to what was renewed.
    service.script(|it| it.demands_more = true);
    assert_eq!(service.call(&cache).await, 403);
    sleep(seconds(20)).await;
    for _ in 0..20 {
        assert_eq!(service.call(&cache).await, 200, "{:?}", cache.snapshot());
        sleep(seconds(10)).await;
    }
    assert_eq!(service.script(|it| (it.asked, it.spent)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_revoked_while_a_user_is_asked_for_more_is_replaced() {
    let (service, cache) = asked_for_more(60).await;
    service.script(|it| it.live.remove("access-1"));
    assert_eq!(service.call(&cache).await, 200);
    assert_eq!(service.presented(), ["code-1", "refresh-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_an_old_token_does_not_wait_for_the_user() {
    let (service, cache) = asked_for_more(60).await;
    service.script(|it| {
        it.live.remove("access-1");
        it.latency = seconds(20);
    });
    let meanwhile = async {
        sleep(seconds(1)).await;
        service.script(|it| it.latency = Duration::ZERO);
        service.call(&cache).await
    };
    assert_eq!(tokio::join!(service.call(&cache), meanwhile), (200, 200));
    assert_eq!(service.presented(), ["code-1", "refresh-1"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_token_the_user_is_waited_for_and_not_asked_twice() {
    let (service, cache) = asked_for_more(60).await;
    service.script(|it| it.live.clear());
    for _ in 0..5 {
        assert_ne!(service.call(&cache).await, 200);
        sleep(seconds(30)).await;
    }
    assert_eq!(service.presented(), ["code-1", "refresh-1"]);
    sleep(seconds(80)).await;
    assert_eq!(service.call(&cache).await, 200, "{:?}", cache.snapshot());
    assert_eq!(service.script(|it| it.asked), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_during_a_renewal_waits_for_it_and_wins() {
    let (service, cache) = asked_for_more(60).await;
    sleep(seconds(200)).await;
    // The user answers at 250 s; 30 s were waited for that already.
    service.script(|it| it.delay = seconds(25));
    sleep(seconds(10)).await;
    assert_eq!(service.call(&cache).await, 200, "{:?}", cache.snapshot());
    assert_eq!(service.presented(), ["code-1", "refresh-1", "code-2"]);
    service.script(|it| (it.demands_more, it.delay) = (true, Duration::ZERO));
    sleep(seconds(26)).await;
    assert_eq!(service.call(&cache).await, 200, "{:?}", cache.snapshot());
    sleep(seconds(60)).await;
    assert_eq!(service.call(&cache).await, 200, "{:?}", cache.snapshot());
    assert_eq!(service.presented().last().unwrap(), "refresh-3");
    assert_eq!(service.script(|it| (it.asked, it.spent)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_asked_for_more_costs_no_renewal() {
    let (service, cache) = asked_for_more(3_600).await;
    for _ in 0..60 {
        assert_eq!(service.call(&cache).await, 200);
        sleep(seconds(2)).await;
    }
    assert_eq!(service.presented(), ["code-1"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_by_a_user_is_let_in_as_before() {
    let (service, cache) = asked_for_more(60).await;
    service.script(|it| it.thinks = seconds(1_000));
    for _ in 0..60 {
        assert_eq!(service.call(&cache).await, 200, "{:?}", cache.snapshot());
        sleep(seconds(10)).await;
    }
    assert_eq!(service.script(|it| (it.asked, it.spent)), (2, 0));
}

/// As a gateway that is reconfigured does, whose calls under way still use the old cache.
async fn both_refresh(store: Option<&AuthorizationFile>) {
    let service = Service::new(60, true);
    let user = || {
        store
            .into_iter()
            .fold(service.user(), |user, it| user.store(it.clone()))
    };
    let build = |user: AuthorizeBuilder| user.build().unwrap();
    let client = service.client();
    let before = TokenCache::authorize(build(user()), client.clone(), Clock::tokio());
    assert_eq!(service.call(&before).await, 200);
    let other = build(user().client_name("other"));
    let after = before.reauthorized(other, client);
    service.script(|it| it.delay = seconds(5));
    sleep(seconds(60)).await;
    for _ in 0..3 {
        let both = tokio::join!(service.call(&before), service.call(&after));
        assert_eq!(both, (200, 200), "{:?}", service.presented());
        sleep(seconds(60)).await;
    }
    assert_eq!(service.script(|it| (it.asked, it.spent)), (1, 0));
    assert_eq!(service.presented().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn another_configuration_takes_turns_with_the_old_one() {
    both_refresh(None).await;
}

#[tokio::test(start_paused = true)]
async fn another_configuration_takes_turns_in_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let file = AuthorizationFile::new(directory.path().join("authorization"));
    both_refresh(Some(&file)).await;
}

//! A resource, authorization servers, and a user who consents at once.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_auth::{
    AuthLayer, Authorize, AuthorizeBuilder, AuthorizeError, Credential, LoopbackCallback, Secret,
    TokenCache, TokenErrorKind, UserAgent,
};
use bartizan_clock::Clock;
use bartizan_testkit::{Recorded, Reply, Upstream};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};
use url::Url;

pub(crate) type Http = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

/// An authorization server, whose metadata and behaviour a test may change.
pub(crate) struct Server {
    upstream: Upstream,
    script: Arc<Mutex<Script>>,
}

pub(crate) struct Script {
    /// Fields of the metadata that replace what is usual; null removes one.
    pub(crate) metadata: Value,
    /// Where the metadata is.
    pub(crate) place: String,
    pub(crate) issuer_path: String,
    /// What the redirect says beside `code` and `state`; `{issuer}` stands for it.
    pub(crate) redirect: Vec<(&'static str, String)>,
    /// Whether it sends a code at all.
    pub(crate) code: bool,
    /// A state other than the one that was asked with.
    pub(crate) state: Option<&'static str>,
    /// Fields of token responses beside the usual.
    pub(crate) token: Value,
    /// Answers to the next token requests in place of tokens.
    pub(crate) refuse: Vec<(u16, &'static str)>,
    pub(crate) registration: Value,
    pub(crate) registered: usize,
    pub(crate) issued: usize,
    pub(crate) name: &'static str,
    /// The scopes of the code, and so of the token.
    pub(crate) granted: HashMap<String, String>,
    scope: String,
}

impl Server {
    pub(crate) async fn start(name: &'static str) -> Self {
        let script = Arc::new(Mutex::new(Script {
            metadata: json!({}),
            place: "/.well-known/oauth-authorization-server".into(),
            issuer_path: String::new(),
            redirect: vec![("iss", "{issuer}".into())],
            code: true,
            state: None,
            token: json!({"expires_in": 3600}),
            refuse: Vec::new(),
            registration: json!({}),
            registered: 0,
            issued: 0,
            name,
            granted: HashMap::new(),
            scope: String::new(),
        }));
        let upstream = Upstream::start().await;
        let base = upstream.url();
        let shared = Arc::clone(&script);
        upstream.handle(move |request| shared.lock().answer(&base, request));
        Self { upstream, script }
    }

    pub(crate) fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.script.lock())
    }

    pub(crate) fn shared(&self) -> Arc<Mutex<Script>> {
        Arc::clone(&self.script)
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}{}", self.upstream.url(), self.script.lock().issuer_path)
    }

    /// The fields of all requests to a path, in order.
    pub(crate) fn asked(&self, path: &str) -> Vec<HashMap<String, String>> {
        let requests = self.upstream.requests().into_iter();
        requests
            .filter(|request| request.uri.path() == path)
            .map(|request| {
                let text = match request.uri.query() {
                    Some(query) => query.as_bytes().to_vec(),
                    None => request.body.to_vec(),
                };
                pairs(&text)
            })
            .collect()
    }

    pub(crate) fn requests(&self, path: &str) -> Vec<Recorded> {
        let mut requests = self.upstream.requests();
        requests.retain(|request| request.uri.path() == path);
        requests
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        let requests = self.upstream.requests();
        requests.iter().map(|it| it.uri.path().to_owned()).collect()
    }

    /// The grants that were asked for.
    pub(crate) fn grants(&self) -> Vec<String> {
        let asked = self.asked("/token").into_iter();
        asked.map(|form| form["grant_type"].clone()).collect()
    }
}

pub(crate) fn pairs(text: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

impl Script {
    fn answer(&mut self, base: &str, request: &Recorded) -> Reply {
        let issuer = format!("{base}{}", self.issuer_path);
        let path = request.uri.path();
        if path == self.place {
            let mut metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{base}/authorize?kept=yes"),
                "token_endpoint": format!("{base}/token"),
                "registration_endpoint": format!("{base}/register"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": true,
            });
            for (name, value) in self.metadata.as_object().unwrap() {
                if value.is_null() {
                    metadata.as_object_mut().unwrap().remove(name);
                } else {
                    metadata[name] = value.clone();
                }
            }
            return Reply::json(metadata.to_string());
        }
        match path {
            "/authorize" => self.authorize(&issuer, request),
            "/token" => self.token(request),
            "/register" => self.register(),
            _ => Reply::status(404),
        }
    }

    fn authorize(&mut self, issuer: &str, request: &Recorded) -> Reply {
        let asked = pairs(request.uri.query().unwrap().as_bytes());
        assert_eq!(asked["kept"], "yes");
        self.scope = asked.get("scope").cloned().unwrap_or_default();
        let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
        let state = self.state.unwrap_or(&asked["state"]);
        back.query_pairs_mut().append_pair("state", state);
        if self.code {
            back.query_pairs_mut().append_pair("code", "c0de");
        }
        for (name, value) in &self.redirect {
            let value = value.replace("{issuer}", issuer);
            back.query_pairs_mut().append_pair(name, &value);
        }
        Reply::status(302).header("location", back.as_str())
    }

    fn token(&mut self, request: &Recorded) -> Reply {
        if !self.refuse.is_empty() {
            let (status, code) = self.refuse.remove(0);
            return Reply::json(json!({"error": code}).to_string()).with_status(status);
        }
        let form = pairs(&request.body);
        self.issued += 1;
        let access = format!("{}-{}", self.name, self.issued);
        let scope = form
            .get("scope")
            .cloned()
            .unwrap_or_else(|| self.scope.clone());
        self.granted.insert(access.clone(), scope);
        let mut token = json!({"access_token": access, "token_type": "Bearer"});
        for (name, value) in self.token.as_object().unwrap() {
            let number = self.issued.to_string();
            token[name] = match value.as_str() {
                Some(text) => json!(text.replace("{n}", &number)),
                None => value.clone(),
            };
        }
        Reply::json(token.to_string())
    }

    fn register(&mut self) -> Reply {
        self.registered += 1;
        let mut client = json!({"client_id": format!("{}-client-{}", self.name, self.registered)});
        for (name, value) in self.registration.as_object().unwrap() {
            client[name] = value.clone();
        }
        Reply::json(client.to_string()).with_status(201)
    }
}

/// A service that lets in whom it is told to.
pub(crate) struct Resource {
    pub(crate) upstream: Upstream,
    pub(crate) guard: Arc<Mutex<Guard>>,
}

pub(crate) struct Guard {
    /// What the metadata says, and where it is; nowhere if there is none.
    pub(crate) metadata: Value,
    pub(crate) place: Option<String>,
    /// What a 401 says.
    pub(crate) challenge: Option<String>,
    /// The tokens that are good, by how they begin.
    pub(crate) good: String,
    /// The scope that a token must have, and the servers' word for it.
    pub(crate) scope: Option<(String, Arc<Mutex<Script>>)>,
}

impl Resource {
    /// A resource whose tokens `server` issues.
    pub(crate) async fn start(server: &Server) -> Self {
        let upstream = Upstream::start().await;
        let base = upstream.url();
        let place = "/.well-known/oauth-protected-resource/mcp";
        let guard = Arc::new(Mutex::new(Guard {
            metadata: json!({
                "resource": format!("{base}/mcp"),
                "authorization_servers": [server.issuer()],
            }),
            place: Some(place.into()),
            challenge: Some(format!("Bearer resource_metadata=\"{base}{place}\"")),
            good: server.script(|it| it.name.into()),
            scope: None,
        }));
        let shared = Arc::clone(&guard);
        upstream.handle(move |request| shared.lock().answer(request));
        Self { upstream, guard }
    }

    pub(crate) fn guard<T>(&self, change: impl FnOnce(&mut Guard) -> T) -> T {
        change(&mut self.guard.lock())
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/mcp", self.upstream.url())
    }

    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        Request::post(self.url())
            .header("authorization", "Bearer the caller's own")
            .body(Full::from("{}"))
            .unwrap()
    }

    /// What was shown in the calls so far.
    pub(crate) fn shown(&self) -> Vec<Option<String>> {
        let requests = self.upstream.requests().into_iter();
        requests
            .filter(|request| request.uri.path() == "/mcp")
            .map(|request| request.header("authorization").map(str::to_owned))
            .collect()
    }
}

impl Guard {
    fn answer(&self, request: &Recorded) -> Reply {
        if Some(request.uri.path()) == self.place.as_deref() {
            return Reply::json(self.metadata.to_string());
        }
        if request.uri.path() != "/mcp" {
            return Reply::status(404);
        }
        let shown = request.header("authorization");
        let token = shown.and_then(|it| it.strip_prefix("Bearer "));
        let Some(token) = token.filter(|it| it.starts_with(&self.good)) else {
            let reply = Reply::status(401);
            return match &self.challenge {
                Some(challenge) => reply.header("www-authenticate", challenge),
                None => reply,
            };
        };
        if let Some((scope, server)) = &self.scope {
            let server = server.lock();
            let granted = server.granted.get(token).map(String::as_str);
            if !granted.unwrap_or_default().split(' ').any(|it| it == scope) {
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
                return Reply::status(403).header("www-authenticate", &challenge);
            }
        }
        Reply::json("{}")
    }
}

/// A user with a browser, which follows redirects at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    opened: Arc<Mutex<Vec<String>>>,
    /// The address that the user is sent back to is not visited.
    pub(crate) stays: Arc<AtomicUsize>,
}

impl UserAgent for Browser {
    fn open(&self, address: &str) -> io::Result<()> {
        self.opened.lock().push(address.to_owned());
        let (address, stays) = (address.to_owned(), Arc::clone(&self.stays));
        tokio::spawn(async move {
            let mut next = address;
            while let Some(back) = visit(&next).await.headers().get("location") {
                if stays.load(Ordering::SeqCst) > 0 {
                    stays.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
                next = back.to_str().unwrap().to_owned();
            }
        });
        Ok(())
    }
}

impl Browser {
    pub(crate) fn opened(&self) -> Vec<HashMap<String, String>> {
        let opened = self.opened.lock();
        let query =
            |address: &String| pairs(Url::parse(address).unwrap().query().unwrap().as_bytes());
        opened.iter().map(query).collect()
    }

    pub(crate) fn times(&self) -> usize {
        self.opened.lock().len()
    }
}

pub(crate) async fn visit(address: &str) -> Response<hyper::body::Incoming> {
    http().get(address.parse::<Uri>().unwrap()).await.unwrap()
}

/// A user who is to be asked about this resource.
pub(crate) fn user(resource: &Resource, browser: &Browser) -> AuthorizeBuilder {
    Authorize::authorization_code(resource.url(), LoopbackCallback::new(), browser.clone())
        .load_timeout(Duration::from_secs(20))
}

pub(crate) fn itself(resource: &Resource) -> AuthorizeBuilder {
    Authorize::client_credentials(resource.url())
        .client_id("gate")
        .client_secret(Secret::new("s3cr3t"))
}

type Policy = fn(&Request<Full<Bytes>>) -> bool;

/// What calls the resource.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) cache: TokenCache<Http>,
    layer: AuthLayer<Http, Policy>,
}

impl Caller {
    pub(crate) fn new(authorize: AuthorizeBuilder) -> Self {
        let authorize = authorize.build().unwrap();
        Self::of(TokenCache::authorize(authorize, http(), Clock::default()))
    }

    pub(crate) fn of(cache: TokenCache<Http>) -> Self {
        let always: Policy = |_| true;
        let layer = AuthLayer::new(Credential::oauth2(cache.clone())).on_unauthorized(always);
        Self { cache, layer }
    }

    /// The status of the answer to a call, or zero if the service was not asked.
    pub(crate) async fn call(&self, resource: &Resource) -> u16 {
        let answer = self.layer.layer(http()).oneshot(resource.request()).await;
        answer.map_or(0, |response| response.status().as_u16())
    }

    /// Calls until a call is let in, after whatever pauses there are.
    pub(crate) async fn let_in(&self, resource: &Resource) {
        let let_in = async {
            while self.call(resource).await != 200 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let let_in = timeout(Duration::from_secs(10), let_in).await;
        assert!(let_in.is_ok(), "{:?}", self.cache.snapshot().last_error);
    }

    /// Why there is no token.
    pub(crate) fn error(&self) -> Option<AuthorizeError> {
        match self.cache.snapshot().last_error?.kind() {
            TokenErrorKind::Authorize(error) => Some(error.clone()),
            other => panic!("{other:?}"),
        }
    }
}

/// The usual cast: all is well.
pub(crate) async fn cast() -> (Server, Resource, Browser) {
    let server = Server::start("access").await;
    let resource = Resource::start(&server).await;
    (server, resource, Browser::default())
}

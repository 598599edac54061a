use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bartizan_clock::{Clock, Instant};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL},
};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::server::{Answer, json as answer};

/// What the gateway calls itself at the issuer.
pub(super) const CLIENT_ID: &str = "bartizan-demo";

/// Most tokens that are valid at one time; the oldest goes first. More than a gateway that
/// keeps its token until it expires can come by.
const MAX_TOKENS: usize = 64;

/// An OAuth2 token endpoint for one client, whose secret and tokens are random and stay in
/// this process.
pub(super) struct Issuer {
    client_secret: String,
    lifetime: Duration,
    clock: Clock,
    /// Held for a look at a few entries, by one backend of a demo.
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    count: u64,
    tokens: VecDeque<Token>,
}

struct Token {
    number: u64,
    secret: String,
    expires_at: Instant,
}

impl Issuer {
    /// An issuer of tokens that live so long.
    pub(super) fn new(lifetime: Duration, clock: Clock) -> io::Result<Self> {
        Ok(Self {
            client_secret: random_text()?,
            lifetime,
            clock,
            issued: Mutex::default(),
        })
    }

    /// What the client proves itself by.
    pub(super) fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// Which token, counted from one, a request to a protected service bears; none if it bears
    /// no valid one.
    pub(super) fn token_number(&self, headers: &HeaderMap) -> Option<u64> {
        let presented = headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        let now = self.clock.now();
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let mut valid = issued.tokens.iter().filter(|token| now < token.expires_at);
        valid
            .find(|token| token.secret == presented)
            .map(|token| token.number)
    }

    fn issue(&self) -> io::Result<String> {
        let secret = random_text()?;
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.count += 1;
        let token = Token {
            number: issued.count,
            secret: secret.clone(),
            expires_at: self.clock.now() + self.lifetime,
        };
        if issued.tokens.len() == MAX_TOKENS {
            issued.tokens.pop_front();
        }
        issued.tokens.push_back(token);
        Ok(secret)
    }

    /// Whether the client proves itself, in either of the ways of RFC 6749, section 2.3.1.
    fn knows(&self, headers: &HeaderMap, form: &[(String, String)]) -> bool {
        if let Some(authorization) = headers.get(AUTHORIZATION) {
            let pair = format!("{CLIENT_ID}:{}", self.client_secret);
            return *authorization == format!("Basic {}", BASE64_STANDARD.encode(pair));
        }
        field(form, "client_id") == Some(CLIENT_ID)
            && field(form, "client_secret") == Some(&self.client_secret)
    }
}

impl Answer for Issuer {
    fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        let refuse = |status, code| answer(status, &json!({ "error": code }));
        if request.uri().path() != "/token" || request.method() != Method::POST {
            return refuse(StatusCode::NOT_FOUND, "invalid_request");
        }
        let form = parse_form(&String::from_utf8_lossy(request.body()));
        if !self.knows(request.headers(), &form) {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        if field(&form, "grant_type") != Some("client_credentials") {
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
        }
        let Ok(token) = self.issue() else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
        };
        let token = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.lifetime.as_secs(),
        });
        let mut response = answer(StatusCode::OK, &token);
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(CACHE_CONTROL, no_store);
        response
    }
}

/// 256 bits from the operating system, in characters that no encoding changes.
fn random_text() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn parse_form(form: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    form.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = form.iter().find(|(given, _)| given == name);
    found.map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::{super::rest::tests::call, *};

    const GRANT: &str = "grant_type=client_credentials";

    fn issuer() -> Issuer {
        Issuer::new(Duration::from_secs(5), Clock::tokio()).unwrap()
    }

    fn bearer(token: &str) -> HeaderMap {
        let value = format!("Bearer {token}").parse().unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_numbered_and_expire() {
        let issuer = issuer();
        let basic = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{}", issuer.client_secret()));
        let basic = format!("Basic {basic}");
        let (status, first) = call(&issuer, Method::POST, "/token", Some(&basic), GRANT);
        assert_eq!((status, &first["expires_in"]), (200, &json!(5)));
        let body = format!(
            "{GRANT}&client_id={CLIENT_ID}&client_secret={}",
            issuer.client_secret()
        );
        let (status, second) = call(&issuer, Method::POST, "/token", None, &body);
        assert_eq!(status, 200);
        let number = |answer: &serde_json::Value| {
            issuer.token_number(&bearer(answer["access_token"].as_str().unwrap()))
        };
        assert_eq!((number(&first), number(&second)), (Some(1), Some(2)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((number(&first), number(&second)), (None, None));
    }

    #[test]
    fn strangers_and_other_grants_get_nothing() {
        let issuer = issuer();
        let post =
            |authorization, body: &str| call(&issuer, Method::POST, "/token", authorization, body);
        assert_eq!(post(None, GRANT).0, 401);
        assert_eq!(post(Some("Basic bm9ib2R5Og=="), GRANT).0, 401);
        let guess = format!("{GRANT}&client_id={CLIENT_ID}&client_secret=");
        assert_eq!(post(None, &guess).0, 401);
        let other = format!(
            "grant_type=password&client_id={CLIENT_ID}&client_secret={}",
            issuer.client_secret()
        );
        let refusal = json!({ "error": "unsupported_grant_type" });
        assert_eq!(post(None, &other), (400, refusal));
        assert_eq!(issuer.token_number(&bearer("")), None);
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let issuer = issuer();
        let first = issuer.issue().unwrap();
        for _ in 0..MAX_TOKENS {
            issuer.issue().unwrap();
        }
        assert_eq!(issuer.token_number(&bearer(&first)), None);
        assert_eq!(issuer.issued.lock().unwrap().tokens.len(), MAX_TOKENS);
    }
}

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use crate::{Recorded, Reply, Upstream};

/// A request to a [`TokenIssuer`], decoded.
#[derive(Clone, Debug)]
pub struct IssuerRecord {
    /// The form fields.
    pub form: HashMap<String, String>,
    /// The `Authorization` header, if there was one.
    pub authorization: Option<String>,
}

/// A real OAuth2 token endpoint on loopback.
///
/// Grants `client_credentials`, `refresh_token` and token exchange. Access tokens count up
/// (`access-1`, `access-2`, ...). Each refresh token works once and is replaced; using an old
/// one revokes the family, as providers do, and answers `invalid_grant` from then on.
#[derive(Debug)]
pub struct TokenIssuer {
    upstream: Upstream,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    issued: AtomicU64,
    expires_in: Mutex<Option<u64>>,
    delay: Mutex<Duration>,
    refresh: Mutex<Refresh>,
    records: Mutex<Vec<IssuerRecord>>,
    failures: Mutex<Vec<Reply>>,
}

#[derive(Debug)]
struct Refresh {
    current: String,
    revoked: bool,
}

impl TokenIssuer {
    /// Starts an issuer whose tokens live `expires_in` seconds and whose first valid refresh
    /// token is `refresh-0`.
    pub async fn start(expires_in: Option<u64>) -> Self {
        let state = Arc::new(State {
            issued: AtomicU64::new(0),
            expires_in: Mutex::new(expires_in),
            delay: Mutex::default(),
            refresh: Mutex::new(Refresh {
                current: "refresh-0".into(),
                revoked: false,
            }),
            records: Mutex::default(),
            failures: Mutex::default(),
        });
        let handler = Arc::clone(&state);
        let upstream = Upstream::start_with(move |request| handler.answer(request)).await;
        Self { upstream, state }
    }

    /// The token endpoint.
    pub fn url(&self) -> String {
        format!("{}/token", self.upstream.url())
    }

    /// How many token requests arrived.
    pub fn hits(&self) -> usize {
        self.upstream.hits()
    }

    /// All token requests so far, decoded.
    pub fn records(&self) -> Vec<IssuerRecord> {
        self.state.records.lock().clone()
    }

    /// Tokens issued from now on live this many seconds; `None` leaves `expires_in` out.
    pub fn expires_in(&self, seconds: Option<u64>) {
        *self.state.expires_in.lock() = seconds;
    }

    /// Answers take this long from now on.
    pub fn delay(&self, delay: Duration) {
        *self.state.delay.lock() = delay;
    }

    /// Queues a reply that the next request gets instead of a token.
    pub fn fail_next(&self, reply: Reply) {
        self.state.failures.lock().insert(0, reply);
    }

    /// Whether an outdated refresh token was used, which revokes the family.
    pub fn revoked(&self) -> bool {
        self.state.refresh.lock().revoked
    }
}

impl State {
    fn answer(&self, request: &Recorded) -> Reply {
        let form = decode(&String::from_utf8_lossy(&request.body));
        self.records.lock().push(IssuerRecord {
            form: form.clone(),
            authorization: request.header("authorization").map(str::to_owned),
        });
        if let Some(reply) = self.failures.lock().pop() {
            return reply;
        }
        let rotated = match form.get("grant_type").map(String::as_str) {
            Some("refresh_token") => match self.rotate(form.get("refresh_token")) {
                Some(next) => format!(r#","refresh_token":"{next}""#),
                None => return error("invalid_grant"),
            },
            Some("client_credentials" | "urn:ietf:params:oauth:grant-type:token-exchange") => {
                String::new()
            }
            _ => return error("unsupported_grant_type"),
        };
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let expiry =
            (*self.expires_in.lock()).map_or_else(String::new, |s| format!(r#","expires_in":{s}"#));
        Reply::json(format!(
            r#"{{"access_token":"access-{number}","token_type":"Bearer"{expiry}{rotated}}}"#
        ))
        .after(*self.delay.lock())
    }

    fn rotate(&self, presented: Option<&String>) -> Option<String> {
        let mut refresh = self.refresh.lock();
        if presented != Some(&refresh.current) {
            refresh.revoked = true;
        }
        if refresh.revoked {
            return None;
        }
        let number: u64 = refresh.current["refresh-".len()..].parse().unwrap_or(0);
        refresh.current = format!("refresh-{}", number + 1);
        Some(refresh.current.clone())
    }
}

fn error(code: &str) -> Reply {
    Reply::json(format!(r#"{{"error":"{code}"}}"#)).with_status(400)
}

fn decode(form: &str) -> HashMap<String, String> {
    form.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect()
}

fn unescape(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bartizan_classify::retry_after;
use bartizan_clock::Instant;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use crate::{
    AuthorizeError, Grant, OAuth2Config, Secret, TokenErrorKind, credential::bearer_text,
    prepared::sensitive, query,
};

use super::chain::Turn;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What a token endpoint gave.
pub(crate) struct Granted {
    pub(crate) secret: Secret,
    pub(crate) header: HeaderValue,
    /// When it was asked for: the issuer counts from some moment after that.
    pub(crate) sent: Instant,
    /// How long the token lives, if the issuer said so.
    pub(crate) lifetime: Option<Duration>,
    /// The refresh token that takes the place of the one presented, if there is one.
    pub(crate) refresh: Option<Secret>,
    /// Held until this is the current token, where another one may be on its way.
    pub(crate) turn: Option<Turn>,
}

/// Why it gave nothing, and for how long it wants to be left alone.
pub(crate) struct Refusal {
    pub(crate) kind: TokenErrorKind,
    pub(crate) retry_after: Option<Duration>,
}

impl From<AuthorizeError> for Refusal {
    fn from(error: AuthorizeError) -> Self {
        TokenErrorKind::from(error).into()
    }
}

impl From<TokenErrorKind> for Refusal {
    fn from(kind: TokenErrorKind) -> Self {
        Self {
            kind,
            retry_after: None,
        }
    }
}

/// The request for a token; `refresh` is the refresh token to present, if the grant is one.
pub(crate) fn request(config: &OAuth2Config, refresh: Option<&Secret>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::from(form(config, refresh)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = config.token_url.clone();
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(authorization) = &config.authorization {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    request
}

fn form(config: &OAuth2Config, refresh: Option<&Secret>) -> String {
    let mut form = Form(String::with_capacity(512));
    match &config.grant {
        Grant::ClientCredentials => form.add("grant_type", "client_credentials"),
        Grant::RefreshToken { .. } => {
            form.add("grant_type", "refresh_token");
            form.add_some("refresh_token", refresh.map(Secret::expose));
        }
        Grant::TokenExchange {
            subject_token,
            subject_token_type,
            actor,
            requested_token_type,
        } => {
            form.add("grant_type", TOKEN_EXCHANGE);
            form.add("subject_token", subject_token.expose());
            form.add("subject_token_type", subject_token_type);
            if let Some(actor) = actor {
                form.add("actor_token", actor.token.expose());
                form.add("actor_token_type", &actor.token_type);
            }
            form.add_some("requested_token_type", requested_token_type.as_deref());
        }
    }
    if config.authorization.is_none() {
        form.add_some("client_id", config.client_id.as_deref());
        let secret = config.client_secret.as_ref();
        form.add_some("client_secret", secret.map(Secret::expose));
    }
    if !config.scopes.is_empty() {
        form.add("scope", &config.scopes);
    }
    for audience in &config.audiences {
        form.add("audience", audience);
    }
    for resource in &config.resources {
        form.add("resource", resource);
    }
    form.0
}

/// A form, encoded as it grows.
pub(crate) struct Form(String);

impl Form {
    /// A form with one field.
    #[cfg(feature = "authorize")]
    pub(crate) fn with(name: &str, value: &str) -> Self {
        let mut form = Self(String::with_capacity(512));
        form.add(name, value);
        form
    }

    #[cfg(feature = "authorize")]
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(&query::pair(name, value));
    }

    fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

/// What the token endpoint's response means, to what was `sent` then; `now` is for a `Retry-After`
/// date.
pub(crate) fn read(
    response: &Response<Bytes>,
    sent: Instant,
    now: SystemTime,
) -> Result<Granted, Refusal> {
    let status = response.status();
    let body: Option<Value> = serde_json::from_slice(response.body()).ok();
    let field = |name: &str| body.as_ref().and_then(|body| body.get(name));
    let text = |name: &str| {
        field(name)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
    };
    let access = text("access_token");

    // GitHub, for one, reports errors with status 200.
    if !status.is_success() || (access.is_none() && text("error").is_some()) {
        return Err(Refusal {
            kind: TokenErrorKind::Refused {
                status,
                code: text("error").and_then(error_code),
            },
            retry_after: (status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error())
                .then(|| retry_after(response.headers(), || now))
                .flatten(),
        });
    }
    let Some(access) = access else {
        return Err(TokenErrorKind::Malformed("without an access token").into());
    };
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(TokenErrorKind::Malformed("with a token that is not a bearer token").into());
    }
    let secret = Secret::new(access);
    let header = bearer_text(&secret).and_then(|text| sensitive(&text));
    let Ok(header) = header else {
        return Err(TokenErrorKind::Malformed("with a token that no header can carry").into());
    };
    Ok(Granted {
        secret,
        header,
        sent,
        lifetime: field("expires_in").and_then(lifetime),
        refresh: text("refresh_token").map(Secret::new),
        turn: None,
    })
}

/// An error code, if it looks like one of the standards'. Secrets hold digits or capitals.
pub(crate) fn error_code(text: &str) -> Option<Arc<str>> {
    let looks_right = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    looks_right.then(|| Arc::from(text))
}

/// `expires_in` in seconds. It should be a whole number; issuers also send `3600.0` and `"3600"`.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests;

use std::{fmt, path::Path, time::Duration};

use bartizan_client::{
    Buffered, Client, ClientConfig, ClientError, ConnectError, ConnectStage, Pem, TlsRoots,
};
use bartizan_config::printable;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::timeout;

use super::Trouble;
use crate::commands::Failure;

/// How long connecting may take: the gateway is near, or it is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long an answer to a question may take, which is known: twenty thousand instances of it, by a
/// slow line.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a change may take. It waits for files, names and a look at every source.
const CHANGE_WITHIN: Duration = Duration::from_secs(60);
/// Twenty thousand instances, each with a page of description.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// What of a segment of a path need not be escaped.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A gateway that is talked to over HTTP.
pub(super) struct Remote {
    client: Buffered,
    url: String,
    keys: Keys,
}

/// What is shown to the gateway, as header values that no `Debug` form shows.
#[derive(Clone, Default)]
pub(super) struct Keys {
    pub(super) caller: Option<HeaderValue>,
    pub(super) admin: Option<HeaderValue>,
}

/// What a gateway answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) json: Value,
}

impl Remote {
    /// The gateway at `url`, which ends without a slash.
    pub(super) fn new(url: String, keys: Keys, ca_file: Option<&Path>) -> Result<Self, Failure> {
        let tls = ca_file.map_or(TlsRoots::Native, |path| {
            TlsRoots::Pem(Pem::Path(path.to_owned()))
        });
        let client = Client::new(&ClientConfig {
            connect_timeout: CONNECT_WITHIN,
            max_response_bytes: MAX_ANSWER_BYTES,
            tls,
            ..ClientConfig::default()
        });
        let client = client.map_err(|error| Trouble::Usage(error.to_string()))?;
        Ok(Self {
            client: client.buffered(),
            url,
            keys,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks whether there is a gateway that can be managed: its statistics.
    pub(super) async fn probe(&self) -> Result<Value, Trouble> {
        let answer = self.ask(&Method::GET, "/gateway/stats", None).await?;
        match (answer.status, answer.json) {
            (StatusCode::OK, stats @ Value::Object(_)) => Ok(stats),
            (status, _) => Err(Trouble::Stranger {
                url: self.url.clone(),
                answer: status.to_string(),
            }),
        }
    }

    /// Whether it listens, whatever it says.
    pub(super) async fn is_alive(&self) -> bool {
        match self.send(&Method::GET, "/livez", None, None).await {
            Ok((status, _)) => status.is_success(),
            // Somebody listens whose certificate is made out for callers from elsewhere.
            Err(Sent::Failed(ClientError::Connect(error))) => error.stage() == ConnectStage::Tls,
            Err(_) => false,
        }
    }

    /// Whether there is an operator's key to show.
    pub(super) fn is_operator(&self) -> bool {
        self.keys.admin.is_some()
    }

    /// Asks as a caller.
    ///
    /// # Errors
    ///
    /// When there is no answer, or the answer is that a key is wanted.
    pub(super) async fn ask(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        self.ask_with(self.keys.caller.as_ref(), method, path, body)
            .await
    }

    /// Asks as an operator, as far as there is a key for that.
    pub(super) async fn ask_as_operator(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        let key = self.keys.admin.as_ref().or(self.keys.caller.as_ref());
        self.ask_with(key, method, path, body).await
    }

    async fn ask_with(
        &self,
        key: Option<&HeaderValue>,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        let url = || self.url.clone();
        let sent = self.send(method, path, key, body).await;
        let (status, bytes) = sent.map_err(|sent| match sent {
            Sent::Late => Trouble::Broken {
                url: url(),
                reason: format!(
                    "nothing came back of {method} {path} within {} s",
                    patience(method).as_secs()
                ),
            },
            Sent::Failed(ClientError::Connect(error)) if is_absent(&error) => {
                Trouble::Unreachable {
                    url: url(),
                    reason: error.to_string(),
                }
            }
            Sent::Failed(error) => Trouble::Broken {
                url: url(),
                reason: error.to_string(),
            },
            Sent::NoRequest => Trouble::Usage(format!("{}{path} is no URL", self.url)),
        })?;
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        match status {
            StatusCode::UNAUTHORIZED => Err(Trouble::NoKey { url: url() }),
            StatusCode::FORBIDDEN => Err(Trouble::Forbidden {
                url: url(),
                reason: reason(status, &json),
            }),
            _ => Ok(Answer { status, json }),
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        key: Option<&HeaderValue>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), Sent> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|_| Sent::NoRequest)?;
        let answered = timeout(patience(method), self.client.send(request)).await;
        let response = answered.map_err(|_| Sent::Late)?.map_err(Sent::Failed)?;
        let (head, bytes) = response.into_parts();
        Ok((head.status, bytes))
    }

    /// What is wrong when the gateway answers other than expected.
    pub(super) fn refused(&self, answer: &Answer) -> Trouble {
        Trouble::Refused {
            url: self.url.clone(),
            reason: reason(answer.status, &answer.json),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish()
    }
}

/// What became of a request without an answer.
enum Sent {
    NoRequest,
    Late,
    Failed(ClientError),
}

/// How long an answer may take.
fn patience(method: &Method) -> Duration {
    if method.is_safe() {
        ANSWER_WITHIN
    } else {
        CHANGE_WITHIN
    }
}

/// Whether nobody is there, as opposed to somebody who cannot be understood.
fn is_absent(error: &ConnectError) -> bool {
    error.stage() == ConnectStage::Tcp
}

/// The text of an error in the forms that gateways give it.
fn reason(status: StatusCode, json: &Value) -> String {
    const LONGEST: usize = 2_000;

    let detail = json.get("detail").unwrap_or(json);
    let first = detail.get(0).unwrap_or(detail);
    let error = first.get("error").unwrap_or(first);
    let text = [error, &error["message"], &error["msg"]]
        .into_iter()
        .find_map(Value::as_str);
    match text {
        Some(text) => printable(text).chars().take(LONGEST).collect(),
        None => format!("it answers {status}"),
    }
}

/// `text` as one segment of a path.
pub(super) fn segment(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, PLAIN)
}

#[cfg(test)]
mod tests {
    use bartizan_testkit::{Reply, Upstream};
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_given_up_and_it_is_said_what_was_waited_for() {
        let silent = Upstream::start_with(|_: &_| Reply::hang()).await;
        let remote = Remote::new(silent.url(), Keys::default(), None).unwrap();
        let said = remote.probe().await.unwrap_err().to_string();
        let expected = format!(
            "the gateway at {} did not answer: nothing came back of GET /gateway/stats within 15 s",
            silent.url()
        );
        assert_eq!(said, expected);
        let sync = remote.ask_as_operator(&Method::POST, "/gateway/sync", None);
        let said = sync.await.unwrap_err().to_string();
        assert!(said.ends_with("POST /gateway/sync within 60 s"), "{said}");
    }

    #[test]
    fn errors_are_understood_in_every_form() {
        let said = |json: Value| reason(StatusCode::BAD_REQUEST, &json);
        assert_eq!(said(json!({"detail": "no"})), "no");
        assert_eq!(
            said(json!({"detail": [{"msg": "field required"}]})),
            "field required"
        );
        assert_eq!(said(json!({"error": {"message": "no\n"}})), "no\\n");
        assert_eq!(said(json!({"error": "no"})), "no");
        assert_eq!(said(Value::Null), "it answers 400 Bad Request");
    }

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(segment("a/b c?").to_string(), "a%2Fb%20c%3F");
        assert_eq!(segment("fs-1.a_b~").to_string(), "fs-1.a_b~");
    }
}

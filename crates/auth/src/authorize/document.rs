use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::timeout;

use super::address::Address;
use crate::{TokenClient, TokenErrorKind};

/// How long one exchange with an authorization server may take: as long as a slow login service
/// needs, and no longer than a caller would wait for several of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same for a token. What was presented for it may be spent as soon as it is received, so that
/// whoever gives up early is left with nothing.
const PATIENCE_FOR_TOKENS: Duration = Duration::from_secs(30);

/// Sends one request and reads the whole answer, within bounds of size and time.
pub(crate) async fn exchange<S: TokenClient>(
    client: &Mutex<S>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, TokenErrorKind> {
    exchange_within(PATIENCE, client, request).await
}

/// The same for a request that presents a code or a refresh token.
pub(crate) async fn exchange_for_token<S: TokenClient>(
    client: &Mutex<S>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, TokenErrorKind> {
    exchange_within(PATIENCE_FOR_TOKENS, client, request).await
}

async fn exchange_within<S: TokenClient>(
    patience: Duration,
    client: &Mutex<S>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, TokenErrorKind> {
    let client = client.lock().clone();
    let answer = timeout(patience, client.exchange(request)).await;
    answer.unwrap_or(Err(TokenErrorKind::TimedOut))
}

/// A JSON object at this address; `None` where there is none. A redirect is none, and a page
/// that a server shows for every path it does not know is none either.
pub(crate) async fn fetch<S: TokenClient>(
    client: &Mutex<S>,
    address: &Address,
) -> Result<Option<Value>, TokenErrorKind> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = address.uri()?;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::ACCEPT, json);
    let response = exchange(client, request).await?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(TokenErrorKind::Refused { status, code: None });
    }
    let found = status == StatusCode::OK;
    Ok(found.then(|| object(response.body())).flatten())
}

/// A request with a JSON body.
pub(crate) fn post(
    address: &Address,
    body: &Value,
) -> Result<Request<Full<Bytes>>, TokenErrorKind> {
    let mut request = Request::new(Full::from(body.to_string()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = address.uri()?;
    let json = HeaderValue::from_static("application/json");
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, json.clone());
    headers.insert(header::ACCEPT, json);
    Ok(request)
}

pub(crate) fn object(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}

/// The text of a field, unless it is empty.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    let text = object.get(name)?.as_str()?;
    Some(text).filter(|text| !text.is_empty())
}

/// The texts in a list, of which there are at most `most`; `None` if there is no list.
pub(crate) fn texts(object: &Value, name: &str, most: usize) -> Option<Vec<String>> {
    let list = object.get(name)?.as_array()?.iter();
    let texts = list.filter_map(Value::as_str).take(most);
    Some(texts.map(str::to_owned).collect())
}

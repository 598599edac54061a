use axum::body::Body;
use bartizan_protocol::{Envelope, Era, error, headers::accepts};
use bartizan_transport::stream::{EventStream, set_headers};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};

use super::{
    House,
    refusal::JSON,
    talk::{Said, Talk},
};

/// What a notification gets for an answer.
pub(super) fn accepted() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// A response that is all there is to say, with the status that its era gives it.
pub(super) fn json(message: Bytes, era: Era) -> Response<Body> {
    let code = Envelope::read(&message).ok().and_then(|it| it.error_code());
    let mut response = Response::new(Body::from(message));
    if let Some(code) = code {
        *response.status_mut() = error::http_status(code, era);
    }
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Has a client hear what is said to it: as one JSON value if the response is all there is and
/// comes soon, else as a stream of events, which is kept alive from the first moment on.
pub(super) async fn respond(
    house: &House,
    mut talk: Talk,
    headers: &HeaderMap,
    era: Era,
) -> Response<Body> {
    let streams = accepts(headers).event_stream;
    let patience = house.keep_alive().duration();
    let first = loop {
        tokio::select! {
            biased;
            said = talk.next() => match said {
                Some(Said::Response(message)) => return json(message, era),
                Some(Said::Message(message)) if streams => break Some(message),
                // A client that reads no streams misses what comes before the response.
                Some(Said::Message(_)) => {}
                None => return accepted(),
            },
            () = house.clock().sleep(patience), if streams => break None,
        }
    };
    let messages = stream::iter(first).chain(talk);
    let body = EventStream::new(messages, house.keep_alive(), house.clock());
    let mut response = Response::new(Body::new(body));
    set_headers(response.headers_mut());
    response
}

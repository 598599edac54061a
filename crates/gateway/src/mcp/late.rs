//! Answers that take longer than a client may be kept waiting in silence.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bartizan_protocol::{Edit, Envelope, Id, error as code, sse};
use bartizan_transport::stream::{KeepAlive, set_headers};
use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::Frame;

use super::{House, Refusal, exchange::is_event_stream};

/// An answer to come. Boxed where it is made: where it is awaited changes when it is late, and
/// it is too large to be moved about.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Who waits.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For the response to the request with this raw id.
    Request(Box<str>),
    /// For whatever the upstream may have to tell.
    Listener,
}

/// The answer as it is if it comes within `patience`. Else a stream of events, in whose silence
/// the client knows that it is not forgotten, and which ends with what the answer says.
pub(super) async fn answer(
    house: &House,
    waiting: Waiting,
    patience: Duration,
    mut answer: Answer,
) -> Response<Body> {
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        () = house.clock().sleep(patience) => {}
    }
    let late = Late {
        state: State::Awaited(answer),
        waiting,
        limit: house.max_message_bytes(),
    };
    let body = KeepAlive::new(late, house.keep_alive(), house.clock());
    let mut response = Response::new(Body::new(body));
    set_headers(response.headers_mut());
    response
}

/// The events of a late answer.
struct Late {
    state: State,
    waiting: Waiting,
    limit: usize,
}

enum State {
    Awaited(Answer),
    Events(Body),
    Message {
        status: StatusCode,
        body: Body,
        all: BytesMut,
    },
    /// There is nothing to tell, and whoever listens need not come back for it.
    Silent,
    Over,
}

impl Late {
    fn begin(&mut self, answer: Response<Body>) {
        let is_stream = is_event_stream(&answer);
        let status = answer.status();
        let body = answer.into_body();
        self.state = match self.waiting {
            _ if is_stream => State::Events(body),
            Waiting::Listener => State::Silent,
            Waiting::Request(_) => State::Message {
                status,
                body,
                all: BytesMut::new(),
            },
        };
    }

    /// The event that the body of an answer makes, however it turned out.
    fn event(&self, status: StatusCode, all: Option<Bytes>) -> Bytes {
        let Waiting::Request(id) = &self.waiting else {
            return Bytes::new();
        };
        let all = all.unwrap_or_default();
        let Ok(message) = Envelope::read(&all) else {
            let text = format!("the service answered with status {status} and no message");
            let refusal = Refusal::answer(code::BAD_ANSWER, text);
            return sse::message(&refusal.to_bytes(Some(id)));
        };
        // Whoever refused may not have known the id, or have given it one of its own.
        if message.id() == Id::new(id) {
            return sse::message(&all);
        }
        let mut edit = Edit::new(&all);
        edit.set(&["id"], id);
        sse::message(&edit.finish().unwrap_or_else(|_| all.clone()))
    }
}

impl http_body::Body for Late {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Awaited(answer) => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    this.begin(answer);
                }
                State::Events(body) => return Pin::new(body).poll_frame(cx),
                State::Message { status, body, all } => {
                    let status = *status;
                    let whole = match ready!(Pin::new(body).poll_frame(cx)) {
                        Some(Ok(frame)) => {
                            let data = frame.into_data().unwrap_or_default();
                            if all.len() + data.len() <= this.limit {
                                all.extend_from_slice(&data);
                                continue;
                            }
                            None
                        }
                        Some(Err(_)) => None,
                        None => Some(std::mem::take(all).freeze()),
                    };
                    let event = this.event(status, whole);
                    this.state = State::Over;
                    return Poll::Ready(Some(Ok(Frame::data(event))));
                }
                State::Silent => return Poll::Pending,
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_request_whatever_id_it_came_with() {
        let late = Late {
            state: State::Over,
            waiting: Waiting::Request("\"a\"".into()),
            limit: 1024,
        };
        let told = |id: &str| {
            let refusal = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32600,"message":"no"}}}}"#
            );
            late.event(StatusCode::BAD_REQUEST, Some(refusal.into()))
        };
        for id in ["\"server-error\"", "null", "7"] {
            assert_eq!(told(id), told("\"a\""), "{id}");
        }
    }
}

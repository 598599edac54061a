use std::{future::poll_fn, pin::Pin, time::Duration};

use bartizan_clock::Clock;
use bartizan_protocol::{
    headers::is_media,
    sse::{Decoder, TooLarge},
    unmarked,
};
use bartizan_transport::stream::{Idle, IdleError, IdleLimits};
use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::Body;
use thiserror::Error;

use crate::service::{Payload, Stream, StreamError};

/// The messages of one answer, in order: of a JSON body its only one, of an event stream each
/// as it arrives.
///
/// Dropping it early closes the stream, which tells the upstream that nobody waits any more.
#[derive(Debug)]
pub(crate) struct Exchange {
    // Boxed: its timer must not move, and an exchange does.
    body: Option<Pin<Box<Idle<Stream>>>>,
    form: Form,
    limit: usize,
    limits: IdleLimits,
    clock: Clock,
    last_event_id: Option<Bytes>,
    retry: Option<Duration>,
}

#[derive(Debug)]
enum Form {
    Whole(BytesMut),
    Events(Box<Decoder>),
}

/// An answer that broke off, or is larger than it may be.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    Interrupted(#[from] StreamError),
    #[error("nothing came for {}", humantime::format_duration(*.limit))]
    Silent { limit: Duration },
    #[error("not all came within {}", humantime::format_duration(*.limit))]
    Slow { limit: Duration },
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

impl From<IdleError<StreamError>> for ExchangeError {
    fn from(error: IdleError<StreamError>) -> Self {
        match error {
            IdleError::Inner(error) => Self::Interrupted(error),
            IdleError::Silent { limit } => Self::Silent { limit },
            IdleError::Slow { limit } => Self::Slow { limit },
            // No other reason is known.
            _ => Self::Silent {
                limit: Duration::ZERO,
            },
        }
    }
}

impl From<TooLarge> for ExchangeError {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge { limit: error.limit }
    }
}

/// Whether an answer is a stream of events, and not one JSON value.
pub(crate) fn is_event_stream<B>(response: &Response<B>) -> bool {
    is_media(response.headers(), "text/event-stream")
}

impl Exchange {
    /// Whether the answer is a stream of events, and not one message.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.form, Form::Events(_))
    }

    /// Reads `response`; no message of it may have more than `limit` bytes, and nothing of it
    /// may keep its reader waiting for longer than `limits` say, of which a stream of events goes by
    /// that on silence only.
    pub(crate) fn new(
        response: Response<Payload>,
        limit: usize,
        mut limits: IdleLimits,
        clock: Clock,
    ) -> Self {
        let is_stream = is_event_stream(&response);
        if is_stream {
            limits = IdleLimits::silence(limits.silence);
        }
        let payload = response.into_body();
        let form = if is_stream {
            let mut events = Decoder::new(limit);
            events.push(payload.bytes);
            Form::Events(Box::new(events))
        } else {
            Form::Whole(BytesMut::from(payload.bytes))
        };
        let body = payload.stream;
        Self {
            body: body.map(|stream| Box::pin(Idle::new(stream, limits, clock))),
            form,
            limit,
            limits,
            clock,
            last_event_id: None,
            retry: None,
        }
    }

    /// The next message, or none once the answer has ended.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost by dropping the future: the next call goes on where it was.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, ExchangeError>> {
        loop {
            if let Form::Events(events) = &mut self.form
                && let Some(event) = events.next()
            {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        self.body = None;
                        return Some(Err(error.into()));
                    }
                };
                if let Some(id) = event.id.clone() {
                    self.last_event_id = Some(id).filter(|id| !id.is_empty());
                }
                self.retry = event.retry.or(self.retry);
                if event.kind() == b"message" && !event.data.is_empty() {
                    return Some(Ok(unmarked(event.data)));
                }
                continue;
            }
            let Some(body) = self.body.as_mut() else {
                return self.rest().map(Ok);
            };
            let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
            match (frame, &mut self.form) {
                (Some(Ok(frame)), form) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    match form {
                        Form::Events(events) => events.push(data),
                        Form::Whole(all) if all.len() + data.len() > self.limit => {
                            self.body = None;
                            all.clear();
                            return Some(Err(ExchangeError::TooLarge { limit: self.limit }));
                        }
                        Form::Whole(all) => all.extend_from_slice(&data),
                    }
                }
                (Some(Err(error)), form) => {
                    self.body = None;
                    if let Form::Whole(all) = form {
                        all.clear();
                    }
                    return Some(Err(error.into()));
                }
                (None, _) => {
                    self.body = None;
                    return self.rest().map(Ok);
                }
            }
        }
    }

    /// What an answer that has ended leaves: all of a JSON body, nothing of a stream.
    fn rest(&mut self) -> Option<Bytes> {
        match &mut self.form {
            Form::Whole(all) => {
                let all = unmarked(std::mem::take(all).freeze());
                (!all.trim_ascii().is_empty()).then_some(all)
            }
            Form::Events(_) => None,
        }
    }

    /// The same exchange, taken up again by `response`.
    pub(crate) fn resumed(&self, response: Response<Payload>) -> Self {
        Self {
            last_event_id: self.last_event_id.clone(),
            retry: self.retry,
            ..Self::new(response, self.limit, self.limits, self.clock)
        }
    }

    /// Where a stream that ended can be taken up again, and after how long, if its server gave
    /// its events ids.
    pub(crate) fn resume_from(&self) -> Option<(Bytes, Option<Duration>)> {
        Some((self.last_event_id.clone()?, self.retry))
    }
}

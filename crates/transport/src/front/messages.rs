use std::{fmt, future::poll_fn, pin::Pin, time::Duration};

use bartizan_protocol::{headers::is_media, sse::Decoder, unmarked};
use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::Body;
use thiserror::Error;

/// The messages of one answer, whichever of the two forms it has.
#[derive(Debug)]
pub(super) struct Messages<B> {
    /// Boxed once an answer, so that it need not be `Unpin`.
    body: Pin<Box<B>>,
    form: Form,
    limit: usize,
    last_event: Option<Bytes>,
    retry: Option<Duration>,
}

#[derive(Debug)]
enum Form {
    /// One message is all there is.
    Whole(BytesMut),
    Events(Box<Decoder>),
    Over,
}

/// An answer that breaks off.
#[derive(Clone, Debug, Error)]
pub(super) enum Broken {
    #[error("the answer holds a message of more than {0} bytes")]
    TooLarge(usize),
    #[error("the answer broke off: {0}")]
    Failed(String),
}

impl<B> Messages<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    pub(super) fn new(response: Response<B>, limit: usize) -> Self {
        let (parts, body) = response.into_parts();
        let form = if is_media(&parts.headers, "text/event-stream") {
            Form::Events(Box::new(Decoder::new(limit)))
        } else {
            Form::Whole(BytesMut::new())
        };
        Self {
            body: Box::pin(body),
            form,
            limit,
            last_event: None,
            retry: None,
        }
    }

    /// Goes on with the answer to a request for what came after the last event.
    pub(super) fn resume(&mut self, response: Response<B>) {
        let broken = (self.last_event.take(), self.retry);
        *self = Self::new(response, self.limit);
        (self.last_event, self.retry) = broken;
    }

    /// From where the answer can be resumed, if it breaks off.
    pub(super) fn last_event(&self) -> Option<&Bytes> {
        self.last_event.as_ref()
    }

    /// How long to wait before that, if the server says.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    ///
    /// When the answer breaks off, after which there is nothing more; but for an event that is
    /// too large, after which the next comes.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            if let Form::Events(events) = &mut self.form {
                for event in events.by_ref() {
                    let event = match event {
                        Ok(event) => event,
                        Err(error) => return Some(Err(Broken::TooLarge(error.limit))),
                    };
                    if let Some(id) = &event.id {
                        self.last_event = (!id.is_empty()).then(|| id.clone());
                    }
                    self.retry = event.retry.or(self.retry);
                    if event.kind() == b"message" && !event.data.is_empty() {
                        return Some(Ok(unmarked(event.data)));
                    }
                }
            }
            if matches!(self.form, Form::Over) {
                return None;
            }
            match poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    match &mut self.form {
                        Form::Events(events) => events.push(data),
                        Form::Whole(whole) if whole.len() + data.len() > self.limit => {
                            self.form = Form::Over;
                            return Some(Err(Broken::TooLarge(self.limit)));
                        }
                        Form::Whole(whole) => whole.extend_from_slice(&data),
                        Form::Over => {}
                    }
                }
                Some(Err(error)) => {
                    self.form = Form::Over;
                    return Some(Err(Broken::Failed(error.to_string())));
                }
                None => {
                    let form = std::mem::replace(&mut self.form, Form::Over);
                    let Form::Whole(whole) = form else {
                        return None;
                    };
                    let whole = unmarked(whole.freeze());
                    return (!whole.trim_ascii().is_empty()).then_some(Ok(whole));
                }
            }
        }
    }
}

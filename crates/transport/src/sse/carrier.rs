use std::{collections::VecDeque, fmt, future::poll_fn, pin::Pin, time::Duration};

use bartizan_classify::Fault;
use bartizan_clock::Clock;
use bartizan_protocol::{
    Envelope, Id, Kind,
    error::{self, ErrorMessage},
    method,
    sse::Decoder,
    unmarked,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use tokio::{
    sync::mpsc::Sender,
    task::{AbortHandle, JoinError, JoinSet},
};
use tower_service::Service;

use super::post::{Posted, Poster};
use crate::link::{self, WireEnd, WireError};

/// How long what was sent last, such as cancellations, may take when the wire is let go.
const CLOSING: Duration = Duration::from_secs(5);

type Incoming = Sender<Result<Bytes, WireError>>;

/// Carries messages between a wire and the server.
#[derive(Debug)]
pub(super) struct Carrier<S, B> {
    poster: Poster<S>,
    body: Pin<Box<B>>,
    events: Decoder,
    posts: JoinSet<Posted>,
    /// What is being posted, oldest first.
    under_way: VecDeque<Post>,
    limit: usize,
}

/// A message that is being posted.
#[derive(Debug)]
struct Post {
    task: AbortHandle,
    /// The id, as JSON, if it is a request: who waits for an answer hears of a failure.
    request: Option<Box<str>>,
    /// Nothing may overtake it.
    first: bool,
}

impl<S, B> Carrier<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Fault + fmt::Display + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
{
    pub(super) fn new(poster: Poster<S>, body: Pin<Box<B>>, events: Decoder, limit: usize) -> Self {
        Self {
            poster,
            body,
            events: events.telling_ends(),
            posts: JoinSet::new(),
            under_way: VecDeque::new(),
            limit,
        }
    }

    /// Carries until either end is gone. What is being posted when the stream ends is given up.
    pub(super) async fn carry(mut self, mut end: WireEnd) {
        let incoming = end.incoming.clone();
        if let Err(reason) = self.carry_until(&mut end).await {
            // Fails only if nobody is there to hear it.
            let _ = incoming.send(Err(reason)).await;
            return;
        }
        while let Ok(message) = end.outgoing.try_recv() {
            let _ = self.post(message, &incoming).await;
        }
        let all = async { while self.posts.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = Clock::default().sleep(CLOSING) => {}
        }
    }

    /// Ends well when the wire is let go, with an error when the connection is over.
    async fn carry_until(&mut self, end: &mut WireEnd) -> Result<(), WireError> {
        loop {
            if !self.deliver(&end.incoming).await {
                return Ok(());
            }
            let may_post = !self.under_way.iter().any(|post| post.first);
            tokio::select! {
                () = end.incoming.closed() => return Ok(()),
                frame = poll_fn(|cx| self.body.as_mut().poll_frame(cx)) => self.arrived(frame)?,
                message = end.outgoing.recv(), if may_post => match message {
                    Some(message) => self.post(message, &end.incoming).await?,
                    None => return Ok(()),
                },
                Some(joined) = self.posts.join_next_with_id(), if !self.posts.is_empty() => {
                    self.posted(joined, &end.incoming).await?;
                }
            }
        }
    }

    fn arrived(&mut self, frame: Option<Result<Frame<Bytes>, B::Error>>) -> Result<(), WireError> {
        match frame {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.events.push(data);
                }
                Ok(())
            }
            Some(Err(error)) => Err(WireError::new(format!("the event stream broke: {error}"))),
            None => Err(WireError::new("the event stream ended")),
        }
    }

    /// Hands over the messages that have arrived; false if nobody takes them.
    async fn deliver(&mut self, incoming: &Incoming) -> bool {
        while let Some(event) = self.events.next() {
            let message = match event {
                Ok(event) if event.kind() != b"message" || event.data.is_empty() => None,
                Ok(event) => Some(unmarked(event.data)),
                Err(error) => {
                    let (beginning, end) = (self.events.skipped(), self.events.skipped_end());
                    link::too_large(beginning, end, error.limit)
                }
            };
            if let Some(message) = message
                && incoming.send(Ok(message)).await.is_err()
            {
                return false;
            }
        }
        true
    }

    /// Begins to post a message. Requests do not wait for each other.
    async fn post(&mut self, message: Bytes, incoming: &Incoming) -> Result<(), WireError> {
        let mut request = None;
        let mut first = false;
        if let Ok(envelope) = Envelope::read(&message) {
            match (envelope.kind(), envelope.method()) {
                (Kind::Request, _) => request = envelope.id().map(|id| id.as_raw().into()),
                // A server may refuse what overtakes it.
                (_, Some(method::NOTIFICATION_INITIALIZED)) => first = true,
                (_, Some(method::NOTIFICATION_CANCELLED)) => {
                    if let Some(id) = envelope.request_id() {
                        self.give_up(id);
                    }
                }
                _ => {}
            }
        }
        if self.under_way.len() >= self.limit
            && let Some(oldest) = self.under_way.pop_front()
        {
            oldest.task.abort();
            let text = "given up, as too many messages wait to be accepted by the server";
            fail(
                oldest.request.as_deref(),
                error::OVERLOADED,
                text,
                None,
                incoming,
            )
            .await;
        }
        let patiently = request.is_some();
        let task = self
            .posts
            .spawn(self.poster.clone().post(message, patiently));
        self.under_way.push_back(Post {
            task,
            request,
            first,
        });
        Ok(())
    }

    /// Stops waiting until a request is accepted that is no longer wanted.
    fn give_up(&mut self, id: Id<'_>) {
        let is_it = |post: &Post| {
            let request = post.request.as_deref().and_then(Id::new);
            request == Some(id)
        };
        if let Some(at) = self.under_way.iter().position(is_it)
            && let Some(post) = self.under_way.remove(at)
        {
            post.task.abort();
        }
    }

    async fn posted(
        &mut self,
        joined: Result<(tokio::task::Id, Posted), JoinError>,
        incoming: &Incoming,
    ) -> Result<(), WireError> {
        let (id, posted) = match joined {
            Ok(joined) => joined,
            Err(error) => (error.id(), Posted::Failed("it was interrupted".to_owned())),
        };
        let at = self.under_way.iter().position(|post| post.task.id() == id);
        let Some(post) = at.and_then(|at| self.under_way.remove(at)) else {
            // It was given up, and whoever waited knows.
            return Ok(());
        };
        let request = post.request.as_deref();
        match posted {
            Posted::Accepted => {}
            Posted::SessionLost => match request {
                Some(request) => {
                    let reason = "the server has lost the session";
                    return Err(WireError::session_lost(reason, request));
                }
                // It may not know this notification, and answer what it accepted: if the session is
                // lost, the next request finds out.
                None => tracing::debug!("the server does not know a notification or an answer"),
            },
            Posted::Refused(status, wait) => {
                let code = match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => error::CREDENTIAL,
                    StatusCode::TOO_MANY_REQUESTS => error::RATE_LIMITED,
                    _ => error::BAD_ANSWER,
                };
                let text = format!("server refused the message with status {}", status.as_u16());
                let wait = wait.map(|wait| format!(r#","retryAfter":{wait}"#));
                let status = status.as_u16();
                let data = format!(r#"{{"status":{status}{}}}"#, wait.unwrap_or_default());
                fail(request, code, &text, Some(&data), incoming).await;
            }
            Posted::Failed(reason) => {
                let text = format!("message could not be posted: {reason}");
                fail(request, error::UNREACHABLE, &text, None, incoming).await;
            }
            Posted::Rejected(reason) => {
                let text = format!("message could not be posted: {reason}");
                fail(request, error::OVERLOADED, &text, None, incoming).await;
            }
            Posted::TimedOut => {
                let text = "server did not accept the message in time";
                fail(request, error::TIMED_OUT, text, None, incoming).await;
            }
        }
        Ok(())
    }
}

/// Lets a request fail that the server will not answer. Others nobody waits for.
async fn fail(
    request: Option<&str>,
    code: i64,
    message: &str,
    data: Option<&str>,
    incoming: &Incoming,
) {
    if request.is_none() {
        tracing::debug!(
            code,
            "the server did not accept a notification or an answer"
        );
        return;
    }
    let failure = ErrorMessage {
        id: request,
        code,
        message,
        data,
    };
    // Fails only if nobody is there to hear it.
    let _ = incoming.send(Ok(failure.to_bytes())).await;
}

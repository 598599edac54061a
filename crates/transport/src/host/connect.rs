use std::{fmt, pin::Pin, sync::Arc};

use bartizan_classify::Fault;
use bartizan_clock::Clock;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, request::Parts};
use http_body::Body;
use http_body_util::Full;
use tokio::sync::oneshot;
use tower_service::Service;

use super::{HostError, keeper::Peer, pace::Pace, process, stream, stream::Passed};
use crate::{
    link::Wire,
    sse::SseLimits,
    stdio::{Command, Limits, RestartPolicy, spawn},
};

/// How a connection to a server is opened.
#[derive(Clone)]
pub struct Connect(Kind);

#[derive(Clone)]
enum Kind {
    Process {
        command: Arc<Command>,
        limits: Limits,
        pace: Arc<Pace>,
    },
    // Boxed once a connection, so that a host has the same type whatever service it is given.
    Stream(Arc<dyn Fn(Passed) -> Opening + Send + Sync>),
}

type Opening = Pin<Box<dyn Future<Output = Result<(Wire, oneshot::Sender<()>), Refused>> + Send>>;

/// A connection that was opened.
pub(super) struct Opened {
    pub(super) wire: Wire,
    pub(super) peer: Peer,
    pub(super) passed: Option<Passed>,
}

/// A connection that was not opened.
#[derive(Debug)]
pub(super) enum Refused {
    /// The server said so, in words of HTTP.
    Answered(StatusCode, Box<HeaderMap>),
    Failed(HostError),
}

impl From<HostError> for Refused {
    fn from(error: HostError) -> Self {
        Self::Failed(error)
    }
}

impl Connect {
    /// By starting a process. Each connection has its own.
    pub fn stdio(command: Command, limits: Limits, restart: RestartPolicy) -> Self {
        Self(Kind::Process {
            command: Arc::new(command),
            limits,
            pace: Arc::new(Pace::new(restart)),
        })
    }

    /// By opening the event stream of HTTP+SSE at `url` through `service`.
    ///
    /// The headers of messages go along with the request for the stream and with each posted
    /// message, except those that belong to one message or to Streamable HTTP. So does the query of
    /// their URIs, behind what the URL of the stream or of the endpoint has.
    pub fn sse<S, B>(service: S, url: Uri, limits: SseLimits) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Fault + fmt::Display + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display + Send,
    {
        Self(Kind::Stream(Arc::new(move |passed| {
            Box::pin(stream::open(service.clone(), url.clone(), limits, passed))
        })))
    }

    /// Whether servers reached this way can be of 2026-07-28, which HTTP+SSE is too old for.
    pub(super) fn may_be_modern(&self) -> bool {
        matches!(self.0, Kind::Process { .. })
    }

    /// Opens a connection, for a process once a pause that is due has passed.
    ///
    /// # Cancellation
    ///
    /// A process is started only when this returns.
    pub(super) async fn open(&self, head: &Parts, clock: Clock) -> Result<Opened, Refused> {
        match &self.0 {
            Kind::Process {
                command,
                limits,
                pace,
            } => {
                pace.wait(clock).await?;
                let child = spawn(command, limits).map_err(|error| {
                    let service = command.service_name().map(AsRef::<str>::as_ref);
                    tracing::warn!(service, %error, "server process not started");
                    HostError::from(error)
                })?;
                let (wire, handle) = process::wire(child);
                Ok(Opened {
                    wire,
                    peer: Peer::Process(handle, Arc::clone(pace)),
                    passed: None,
                })
            }
            Kind::Stream(open) => {
                let passed = Passed::new(head);
                let (wire, open) = open(passed.clone()).await?;
                Ok(Opened {
                    wire,
                    peer: Peer::Stream { _open: open },
                    passed: Some(passed),
                })
            }
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Process { command, .. } => f.debug_tuple("Process").field(command).finish(),
            Kind::Stream(_) => f.debug_struct("Stream").finish_non_exhaustive(),
        }
    }
}

use std::{fmt, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bartizan_protocol::{Envelope, Version, headers, is_batch, method};
use bytes::Bytes;
use http::{Method, Request, Response, request::Parts};
use tokio::sync::watch;

use super::{
    Connect, HostBody, HostError, HostLimits,
    answer::{self, Answer},
    connect::Refused,
    connection::{Connection, Role, Usage},
    keeper::{Keeper, Living},
    state::State,
};
use crate::link::Link;

/// Plays a server of Streamable HTTP in front of one that speaks another transport.
///
/// Clones are handles to the same host. When the last is dropped, all connections end, and all
/// processes are stopped in the background; [`Host::close`] waits for that.
#[derive(Clone)]
pub struct Host(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) connect: Connect,
    pub(super) state: Arc<State>,
    /// Dropped with the host, which tells the keepers.
    closing: watch::Sender<bool>,
}

impl Host {
    /// A host without connections.
    #[must_use]
    pub fn new(connect: Connect, limits: HostLimits, clock: Clock) -> Self {
        let state = Arc::new(State::new(limits, clock));
        state.limits.capacity.share(&state);
        Self(Arc::new(Inner {
            connect,
            state,
            closing: watch::Sender::new(false),
        }))
    }

    /// Answers a POST, GET or DELETE as the endpoint of a server would; the path is not looked at.
    ///
    /// Of the headers those of Streamable HTTP matter: `Mcp-Session-Id` and
    /// `MCP-Protocol-Version`. The body of a POST is one message, which goes to the server byte
    /// for byte except for ids where several clients could use the same. `owner` is
    /// whose connections may be used.
    ///
    /// # Errors
    ///
    /// When the server gave no answer, not even one that refuses. What a server of HTTP+SSE
    /// refuses is an answer: 401, for instance, with what it said of it.
    ///
    /// # Cancellation
    ///
    /// Dropping the future or the body of its answer cancels the request; dropping that of an
    /// `initialize` ends the connection that it opened.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn call(
        &self,
        request: Request<Bytes>,
        owner: u64,
    ) -> Result<Response<HostBody>, HostError> {
        let (head, body) = request.into_parts();
        let session = head.headers.get(headers::MCP_SESSION_ID);
        let session = session.map(|name| name.to_str().unwrap_or_default());
        match (&head.method, session) {
            (&Method::POST, session) => self.post(&head, session, body, owner).await,
            (&Method::GET, Some(session)) => Ok(self.listen(session, owner)),
            (&Method::DELETE, Some(session)) => Ok(self.end(session, owner)),
            (&(Method::GET | Method::DELETE), None) => Ok(answer::not_allowed("POST")),
            _ => Ok(answer::not_allowed("GET, POST, DELETE")),
        }
    }

    /// Ends all connections and waits until all processes are gone. Nothing is opened any more.
    ///
    /// Takes as long as stopping one process may take.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves everything to end in the background.
    pub async fn close(&self) {
        let state = &self.0.state;
        state.table.lock().closed = true;
        self.0.closing.send_replace(true);
        let mut living = state.living.subscribe();
        // Cannot fail: the sender is in `state`.
        let _ = living.wait_for(|living| *living == 0).await;
    }

    /// Whether the server was found not to come up within the last `time`: it could not be reached
    /// or started, or ended before it had answered anything, and has answered nothing since.
    #[must_use]
    pub fn failed_within(&self, time: Duration) -> bool {
        self.0.state.failed_within(time)
    }

    /// How many connections there are, those included that are being opened or are ending.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.state.table.lock().connections()
    }

    async fn post(&self, head: &Parts, session: Option<&str>, body: Bytes, owner: u64) -> Answer {
        if is_batch(&body) {
            return Ok(answer::bad_request(None, "send one message at a time"));
        }
        let envelope = match Envelope::read(&body) {
            Ok(envelope) => envelope,
            Err(error) => {
                let status = http::StatusCode::BAD_REQUEST;
                let (id, code) = (error.id(), error.code());
                return Ok(answer::refusal(status, id, code, &error.to_string()));
            }
        };
        let modern = head
            .headers
            .get(headers::MCP_PROTOCOL_VERSION)
            .is_some_and(|version| version == Version::V2026_07_28.as_str())
            || envelope.protocol_version().is_some();
        match session {
            Some(session) => {
                self.in_session(session, head, &envelope, &body, owner)
                    .await
            }
            None if modern => self.without_session(head, &envelope, &body, owner).await,
            None if envelope.method() == Some(method::INITIALIZE) => {
                self.begin(head, &envelope, &body, owner).await
            }
            None => Ok(answer::bad_request(
                envelope.raw_id(),
                "Mcp-Session-Id is missing",
            )),
        }
    }

    /// Opens a connection, which ends with the usage unless the server proves to answer.
    pub(super) async fn open(
        &self,
        role: Role,
        owner: u64,
        head: &Parts,
    ) -> Result<Usage, Refused> {
        let Inner {
            connect,
            state,
            closing,
        } = &*self.0;
        let place = state.place(owner).await?;
        let opened = connect.open(head, state.clock).await;
        let opened = opened.inspect_err(|refused| {
            // That there is no room is not the server's fault.
            if !matches!(refused, Refused::Failed(HostError::Overloaded { .. })) {
                state.note_failure();
            }
        })?;
        let link = Link::new(opened.wire, state.limits.link);
        let (usage, keeper) = {
            let mut table = state.table.lock();
            if table.closed {
                // Before the place, which needs the lock.
                drop(table);
                return Err(HostError::unsent("no connections are opened any more").into());
            }
            let proven = role == Role::Shared && table.is_modern;
            let now = state.clock.now();
            let connection = Connection::new(link, role, owner, opened.passed, proven, now);
            let connection = Arc::new(connection);
            table.opened(&connection);
            let usage = Usage::begin(state, &connection);
            let keeper = Keeper {
                state: Arc::clone(state),
                connection,
                peer: opened.peer,
                closing: closing.subscribe(),
                place,
                living: Living::begin(state),
            };
            (usage, keeper)
        };
        tokio::spawn(keeper.keep());
        Ok(usage)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("connect", &self.0.connect)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use bartizan_classify::RequestClass;
use bartizan_clock::{Clock, Instant};
use bartizan_protocol::{Envelope, Kind, error::TIMED_OUT, method};
use bartizan_rate_limit::Priority;
use bartizan_transport::stream::IdleLimits;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, uri::PathAndQuery};
use parking_lot::Mutex;

use super::{Exchange, Refusal, tools};
use crate::{
    error::Error,
    ids::{self, Trace},
    service::{Failure, Form, Outbound, Owner, Parts, Payload, Service, Upstream},
    shared::Shared,
};

/// How much later than the timer of an attempt that of a whole answer ends.
const HEAD_START: Duration = Duration::from_millis(10);

/// Whoever sent a request, as far as the gateway knows.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// What sealed tokens are bound to. Never shown.
    principal: Bytes,
    owner: Owner,
}

impl Caller {
    pub(crate) fn new(principal: Bytes, owner: Owner) -> Self {
        Self { principal, owner }
    }

    pub(crate) fn principal(&self) -> &[u8] {
        &self.principal
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }
}

/// One request at the door of one service.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    pub(crate) service: Arc<Service>,
    pub(crate) caller: Caller,
    ids: Ids,
    priority: Priority,
    /// When the caller wants it to be over, if that is sooner than the service's own limit.
    deadline: Option<Instant>,
    /// Where all messages go as long as they can, if an instance was picked for the request.
    instance: Option<Arc<str>>,
    /// Who wants to know which instance answered.
    witness: Option<Arc<Witness>>,
    /// Whether nobody calls, and somebody listens.
    listens: bool,
    /// Told when an instance is given the client's own message.
    sent: Option<Arc<AtomicBool>>,
}

/// Knows which instance answered last, or failed to, and what became of the client's own message.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    instance: Option<Arc<str>>,
    /// How often the client's own message was sent.
    attempts: u32,
    /// What kept it, or one that has to come before it, from being answered.
    failure: Option<Failure>,
}

impl Witness {
    /// The instance, if one was asked.
    pub(crate) fn instance(&self) -> Option<Arc<str>> {
        // One message at a time is under way for one request, so nobody ever waits.
        self.0.lock().instance.clone()
    }

    /// How often the client's own message was sent.
    pub(crate) fn attempts(&self) -> u32 {
        self.0.lock().attempts
    }

    /// Why there is no answer, if a message got none.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.0.lock().failure.take()
    }

    pub(crate) fn note(&self, instance: &Arc<str>) {
        self.0.lock().instance = Some(Arc::clone(instance));
    }

    fn answered(&self, payload: &Payload, is_clients: bool) {
        self.note(&payload.endpoint);
        if is_clients {
            let mut seen = self.0.lock();
            seen.attempts += payload.attempts;
            seen.failure = None;
        }
    }

    fn failed(&self, failure: Failure, is_clients: bool) {
        if let Some(endpoint) = failure.cause.endpoint() {
            self.note(endpoint);
        }
        let mut seen = self.0.lock();
        if is_clients {
            seen.attempts += failure.attempts;
        } else if seen.attempts > 0 {
            // What is asked after the client's own message says nothing of that.
            return;
        }
        seen.failure = Some(failure);
    }
}

/// What joins our records with those of others.
#[derive(Clone, Debug)]
struct Ids {
    request_id: HeaderValue,
    trace: Trace,
    idempotency_key: Option<HeaderValue>,
}

impl Door {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        service: &Arc<Service>,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            service: Arc::clone(service),
            caller,
            ids: Ids {
                request_id: ids::header(headers),
                trace: ids::trace(headers),
                idempotency_key: ids::idempotency_key(headers),
            },
            priority: Priority::Normal,
            deadline: None,
            instance: None,
            witness: None,
            listens: false,
            sent: None,
        }
    }

    /// The same door for one of several messages that came together: a key that came with all of them
    /// tells none of them from another.
    pub(super) fn for_one_of_several(&self) -> Self {
        let mut door = self.clone();
        door.ids.idempotency_key = None;
        door
    }

    /// The same door for whoever stays when other services come: theirs are not kept.
    pub(super) fn for_staying(&self) -> Self {
        Self {
            shared: self.shared.for_staying(),
            ..self.clone()
        }
    }

    /// The same door for somebody who only listens.
    pub(super) fn for_listening(&self) -> Self {
        Self {
            listens: true,
            ..self.for_staying()
        }
    }

    /// The same request for a caller without a session: every request has its turn among the
    /// instances, and `witness` hears which one answered. Requests of one `key` stay together
    /// where the strategy goes by keys.
    ///
    /// # Errors
    ///
    /// When there is no instance.
    pub(crate) fn in_turn(mut self, key: u64, witness: &Arc<Witness>) -> Result<Self, Error> {
        self.instance = Some(self.service.choose(key)?);
        Ok(self.seen_by(witness))
    }

    /// The same request, of which `witness` hears what becomes.
    pub(crate) fn seen_by(mut self, witness: &Arc<Witness>) -> Self {
        self.witness = Some(Arc::clone(witness));
        self
    }

    /// Where all messages of this request go as long as they can.
    pub(super) fn instance(&self) -> Option<&Arc<str>> {
        self.instance.as_ref()
    }

    /// The same request on terms that its caller named.
    pub(crate) fn on_terms(
        mut self,
        priority: Priority,
        deadline: Instant,
        idempotency_key: Option<HeaderValue>,
    ) -> Self {
        self.priority = priority;
        self.deadline = Some(deadline);
        self.ids.idempotency_key = idempotency_key.or(self.ids.idempotency_key);
        self
    }

    /// The same request for somebody who wants to know whether an instance is given it.
    pub(super) fn telling(&self, sent: &Arc<AtomicBool>) -> Self {
        Self {
            sent: Some(Arc::clone(sent)),
            ..self.clone()
        }
    }

    /// The same request at the door of another service.
    pub(crate) fn at(&self, service: &Arc<Service>) -> Self {
        Self {
            service: Arc::clone(service),
            instance: None,
            ..self.clone()
        }
    }

    /// The same door for what the caller does not wait for.
    pub(super) fn aside(&self) -> Self {
        Self {
            deadline: None,
            instance: None,
            witness: None,
            ..self.clone()
        }
    }

    /// The same door for what others wait for as well: it goes on no caller's terms.
    pub(super) fn for_all(&self) -> Self {
        Self {
            deadline: None,
            priority: Priority::Normal,
            ..self.clone()
        }
    }

    /// The same door for the gateway itself, on nobody's behalf.
    pub(crate) fn for_house(&self) -> Self {
        let mut door = self.aside();
        door.caller = Caller::new(Bytes::new(), Owner::default());
        door
    }

    /// Learns of the tool that a call is about, if what it is decides what may happen to the
    /// call: without a trusted server's word on it the call is sent once at most.
    pub(crate) async fn learn(&self, envelope: &Envelope<'_>) {
        let trusted = self.service.mcp().is_some_and(|mcp| mcp.tools().trusted());
        if trusted
            && envelope.method() == Some(method::TOOLS_CALL)
            && self.class(envelope) == RequestClass::Unsafe
        {
            let tool = envelope.subject().unwrap_or_default();
            // Boxed, as below: few calls need it, and all would be as large.
            Box::pin(tools::find(self, &tool)).await;
        }
    }

    /// What may happen to a message: reads may be sent twice; a tool's call only by the
    /// operator's word, the annotations of a trusted server, or with an idempotency key.
    pub(crate) fn class(&self, envelope: &Envelope<'_>) -> RequestClass {
        let Some(method) = envelope.method() else {
            return RequestClass::Unsafe;
        };
        if method::is_safe(method) {
            return RequestClass::Safe;
        }
        match method {
            method::TOOLS_CALL => {
                let tool = envelope.subject().unwrap_or_default();
                let has_key = self.ids.idempotency_key.is_some();
                match (self.service.class(&tool, has_key), self.service.mcp()) {
                    (RequestClass::Unsafe, Some(mcp)) => mcp.tools().class(&tool),
                    (known, _) => known,
                }
            }
            // Another session, should one be made in vain, costs nobody anything.
            method::INITIALIZE => RequestClass::Idempotent,
            _ if method.starts_with("notifications/") => RequestClass::Idempotent,
            _ => RequestClass::Unsafe,
        }
    }

    /// The headers that mirror a tool's arguments, as far as the tool asks for any.
    pub(crate) async fn params(&self, envelope: &Envelope<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let (Some(method::TOOLS_CALL), Some(name)) = (envelope.method(), envelope.subject()) else {
            return Vec::new();
        };
        let Some(tool) = tools::find(self, &name).await else {
            return Vec::new();
        };
        let arguments = envelope.arguments().unwrap_or("{}");
        let params = tool.params.iter();
        params
            .filter_map(|param| Some((param.header_name().clone(), param.value(arguments)?)))
            .collect()
    }

    /// Notes what a message of the service's says about what is known of it.
    pub(super) fn heard(&self, envelope: &Envelope<'_>) {
        if !changes_a_list(envelope) {
            return;
        }
        self.doubt_lists();
        self.heard_in_one(envelope);
    }

    /// Has the lists of the service asked for anew. Before a client hears of it, who then asks.
    pub(super) fn doubt_lists(&self) {
        if let Some(mcp) = self.service.mcp() {
            mcp.watch().doubt();
        }
    }

    /// The same of a change that one session alone may know of.
    pub(super) fn heard_in_one(&self, envelope: &Envelope<'_>) {
        if envelope.method() == Some(method::NOTIFICATION_TOOLS_LIST_CHANGED) {
            self.doubt_tools();
        }
    }

    /// Has the tools of the service asked for anew, before what they are decides about a call.
    pub(super) fn doubt_tools(&self) {
        if let Some(mcp) = self.service.mcp() {
            mcp.tools().doubt(self.shared.clock().now());
        }
    }

    /// Reads an answer, no message of which may be larger than a message may be.
    pub(super) fn exchange(&self, response: Response<Payload>) -> Exchange {
        let house = self.shared.mcp();
        let silence = self.service.mcp().map(Upstream::stream_idle_timeout);
        let silence = silence.unwrap_or(Duration::MAX);
        let limits = IdleLimits {
            silence,
            in_all: self.service.timeout(),
        };
        Exchange::new(response, house.max_message_bytes(), limits, house.clock())
    }

    /// The response that ends an answer to one of the gateway's own requests, past all that
    /// comes before it; none if it does not come in the time that a call may take.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes the answer.
    pub(super) async fn final_message(&self, response: Response<Payload>) -> Option<Bytes> {
        let limit = self.shared.clock().sleep(self.service.timeout());
        tokio::select! {
            biased;
            message = final_message(self.exchange(response)) => message,
            () = limit => None,
        }
    }

    /// What is left to be sent when this door is gone.
    pub(super) fn errand(&self) -> Errand {
        Errand {
            service: Arc::clone(&self.service),
            owner: self.caller.owner,
            clock: self.shared.clock(),
        }
    }

    /// When an answer must have begun, and one that is awaited as a whole be there.
    fn due(&self) -> Instant {
        let latest = self.shared.clock().now() + self.service.timeout();
        self.deadline
            .map_or(latest, |deadline| deadline.min(latest))
    }

    /// What comes of `answer`, which its caller awaits as a whole and hears nothing of before.
    ///
    /// # Errors
    ///
    /// When it takes longer than the caller or the service allows.
    pub(super) async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, Refusal> {
        let clock = self.shared.clock();
        let (begun, due) = (clock.now(), self.due());
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            // An instance that has not even begun to answer is seen to fail first.
            () = clock.sleep_until(due + HEAD_START) => {
                let millis = (due - begun).as_millis();
                let text = format!("{} did not answer within {millis} ms", self.service.name());
                Err(Refusal::answer(TIMED_OUT, text))
            }
        }
    }

    /// Sends a message through the service's stack.
    ///
    /// # Errors
    ///
    /// When no answer came, in the words for its client.
    pub(crate) async fn send(&self, message: Message) -> Result<Response<Payload>, Refusal> {
        self.send_as(message, false).await
    }

    /// Sends a message that comes before all others, who only listens included: theirs is no call.
    ///
    /// # Errors
    ///
    /// As [`Door::send`].
    pub(super) async fn send_first(&self, message: Message) -> Result<Response<Payload>, Refusal> {
        self.send_as(message, self.listens).await
    }

    async fn send_as(&self, message: Message, listens: bool) -> Result<Response<Payload>, Refusal> {
        let timeout = self.service.timeout();
        let (deadline, priority) = (self.due(), self.priority);
        let terms = (deadline, priority, listens);
        let is_clients = message.is_clients;
        let sent = self.sent.clone().filter(|_| is_clients);
        let outbound = outbound(message, self.caller.owner, terms, &self.ids, sent);
        let witness = self.witness.as_ref();
        match self.service.call(outbound).await {
            Ok(response) => {
                if let Some(witness) = witness {
                    witness.answered(response.body(), is_clients);
                }
                Ok(response)
            }
            Err(failure) => {
                let refusal = Refusal::of_failure(self.service.name(), &failure, timeout);
                if let Some(witness) = witness {
                    witness.failed(failure, is_clients);
                }
                Err(refusal)
            }
        }
    }
}

/// Whether a service says that one of its lists is not what it was.
pub(super) fn changes_a_list(envelope: &Envelope<'_>) -> bool {
    matches!(
        envelope.method(),
        Some(
            method::NOTIFICATION_TOOLS_LIST_CHANGED
                | method::NOTIFICATION_PROMPTS_LIST_CHANGED
                | method::NOTIFICATION_RESOURCES_LIST_CHANGED
        )
    )
}

/// What it takes to send a message of the gateway's own when nobody is at the door any more.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    service: Arc<Service>,
    owner: Owner,
    clock: Clock,
}

impl Errand {
    /// Sends the message, whose answer nobody waits for; outside a runtime it is not sent.
    pub(super) fn run(&self, message: Message) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let ids = Ids {
            request_id: ids::new_request_id(),
            trace: ids::new_trace(),
            idempotency_key: None,
        };
        let deadline = self.clock.now() + self.service.timeout();
        let terms = (deadline, Priority::Normal, false);
        let outbound = outbound(message, self.owner, terms, &ids, None);
        let service = Arc::clone(&self.service);
        runtime.spawn(async move { service.call(outbound).await.map(drop) });
    }
}

fn outbound(
    message: Message,
    owner: Owner,
    (deadline, priority, listens): (Instant, Priority, bool),
    ids: &Ids,
    sent: Option<Arc<AtomicBool>>,
) -> Outbound {
    Outbound::new(Parts {
        method: message.method,
        path: PathAndQuery::from_static("/"),
        body: message.body,
        class: message.class,
        priority,
        deadline,
        correlation_id: ids.request_id.clone(),
        request_id: ids.request_id.clone(),
        agent_id: None,
        session: None,
        // It names the client's call, and none of the messages that the call leads to.
        idempotency_key: ids.idempotency_key.clone().filter(|_| message.is_clients),
        trace: ids.trace.clone(),
        form: Form::Message {
            headers: message.headers,
            owner,
            instance: message.instance,
            is_request: message.is_request,
            listens,
            sent,
        },
    })
}

/// A message on its way to an upstream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) body: Bytes,
    pub(crate) class: RequestClass,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) instance: Option<Arc<str>>,
    /// Whether it is the client's own request, and not one that the gateway makes of it.
    pub(crate) is_clients: bool,
    /// Whether it asks for something, as no notification does, no answer and no end of a session.
    pub(crate) is_request: bool,
}

/// The response in an answer, past all that comes before it.
async fn final_message(mut exchange: Exchange) -> Option<Bytes> {
    while let Some(Ok(message)) = exchange.next().await {
        let kind = Envelope::read(&message).ok()?.kind();
        if matches!(kind, Kind::Response | Kind::Error) {
            return Some(message);
        }
    }
    None
}

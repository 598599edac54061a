use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    sync::Arc,
};

use bartizan_clock::Clock;
use bartizan_protocol::{
    Envelope, Era, Id, Kind,
    error::{self, ErrorMessage},
    is_batch, method,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id as TaskId, JoinError, JoinSet},
};
use tower_service::Service;

use super::{
    FrontLimits, Target, call::Call, courier::Courier, exchange::Outcome, params::Params,
    session::Session, upstream::Upstream,
};

/// Why a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The client says no more, and has heard what it asked for, or waited long enough.
    Said,
    /// The client does not listen any more.
    Gone,
    /// It was told to stop.
    Told,
}

/// Carries the messages of one client, which knows nothing of HTTP, to a service of Streamable
/// HTTP at `target`, and what is said to the client back, until either has enough.
///
/// Each of `messages` is one JSON value: a message, a batch of them, or a mistake, which is
/// answered as one. Each of what is sent to `out` is, too. Everything is done within this future
/// and tasks of its own: requests side by side, the rest in order where the order matters.
///
/// # Cancellation
///
/// Dropping the future drops every exchange. The session is left for the service to find idle;
/// complete `stop` to end it.
///
/// # Panics
///
/// Outside a tokio runtime with its timer enabled.
pub async fn relay<S, B>(
    service: S,
    target: Target,
    mut messages: mpsc::Receiver<Bytes>,
    out: mpsc::Sender<Bytes>,
    limits: FrontLimits,
    stop: impl Future<Output = ()>,
) -> End
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: fmt::Display + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
{
    let mut relay = Relay::new(Courier {
        upstream: service,
        target: Arc::new(target),
        out: out.clone(),
        params: Arc::new(Params::default()),
        limits,
    });
    let all = async {
        relay.read(&mut messages).await;
        tokio::select! {
            () = relay.settle() => {}
            () = Clock::default().sleep(limits.drain) => {}
        }
    };
    let end = tokio::select! {
        biased;
        () = stop => End::Told,
        () = out.closed() => End::Gone,
        () = all => End::Said,
    };
    relay.close().await;
    end
}

/// What a message is for, which decides what happens when its exchange ends.
#[derive(Debug)]
enum Role {
    /// The client's `initialize`.
    Initialize,
    /// What must have arrived before anything else is sent.
    Initialized,
    Request,
    /// A notification or an answer; with the tasks to end when it has arrived.
    Aside(Vec<TaskId>),
    /// The remembered `initialize`, for a session that was lost.
    Again,
    /// The stream of what is said unasked.
    News,
}

#[derive(Debug)]
struct UnderWay {
    call: Arc<Call>,
    role: Role,
    task: AbortHandle,
    generation: u64,
    /// It was sent before, in a session that was lost.
    repeated: bool,
}

/// How the client began.
#[derive(Debug)]
struct Introduction {
    initialize: Arc<Call>,
    /// Once the client said that it has heard the answer.
    initialized: Option<Arc<Call>>,
}

#[derive(Debug)]
struct Relay<U> {
    courier: Courier<U>,
    tasks: JoinSet<Outcome>,
    under_way: HashMap<TaskId, UnderWay>,
    /// What was said while nothing may be sent.
    held: VecDeque<Bytes>,
    held_bytes: usize,
    waiting: VecDeque<Arc<Call>>,
    waiting_bytes: usize,
    session: Option<Session>,
    /// That of the last session that began. What is left of one that the client has ended must
    /// not be taken for a loss of the next.
    generation: u64,
    introduction: Option<Introduction>,
    /// Nothing may overtake it.
    first: Option<TaskId>,
    /// What is to be repeated once there is a session again.
    lost: Vec<UnderWay>,
}

impl<U: Upstream> Relay<U> {
    fn new(courier: Courier<U>) -> Self {
        Self {
            courier,
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            session: None,
            generation: 0,
            introduction: None,
            first: None,
            lost: Vec::new(),
        }
    }

    /// Takes messages until there are no more.
    async fn read(&mut self, messages: &mut mpsc::Receiver<Bytes>) {
        loop {
            self.advance().await;
            // Read even while nothing may be sent: it may be the end.
            let may_read = self.held_bytes < self.courier.limits.waiting_bytes;
            tokio::select! {
                biased;
                Some(joined) = self.tasks.join_next_with_id() => self.ended(joined).await,
                message = messages.recv(), if may_read => match message {
                    Some(message) => {
                        self.held_bytes += weight(&message);
                        self.held.push_back(message);
                    }
                    None => return,
                },
                else => return,
            }
        }
    }

    /// Waits until everything that ends by itself has.
    async fn settle(&mut self) {
        loop {
            self.advance().await;
            let awaited = |it: &UnderWay| match it.role {
                Role::News => false,
                Role::Request => !it.call.is_subscription(),
                _ => true,
            };
            let is_idle = self.held.is_empty() && self.waiting.is_empty();
            if is_idle && !self.under_way.values().any(awaited) {
                return;
            }
            match self.tasks.join_next_with_id().await {
                Some(joined) => self.ended(joined).await,
                None => return,
            }
        }
    }

    /// Sends what may be sent now.
    async fn advance(&mut self) {
        self.admit();
        while self.first.is_none() && self.asides() < self.courier.limits.asides {
            let Some(message) = self.held.pop_front() else {
                return;
            };
            self.held_bytes -= weight(&message);
            self.take(message).await;
        }
    }

    /// Gives up what is under way and ends the session.
    async fn close(mut self) {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            // One may have begun at the last moment.
            if let Ok(Outcome::Begun(session)) = ended {
                self.session = Some(session);
            }
        }
        let Some(session) = self.session.filter(Session::is_kept) else {
            return;
        };
        tokio::select! {
            () = self.courier.delete(&session) => {}
            () = Clock::default().sleep(self.courier.limits.close) => {}
        }
    }

    async fn take(&mut self, message: Bytes) {
        if is_batch(&message) {
            let call = Arc::new(Call::of_batch(message));
            return self.request(call).await;
        }
        let envelope = match Envelope::read(&message) {
            Ok(envelope) => envelope,
            Err(invalid) => {
                let refusal = ErrorMessage {
                    id: invalid.id(),
                    code: invalid.code(),
                    message: &invalid.to_string(),
                    data: None,
                };
                self.courier.say(refusal.to_bytes()).await;
                return;
            }
        };
        let call = Arc::new(Call::of(message.clone(), &envelope));
        if call.era == Era::Modern && !self.courier.target.modern {
            let (code, text) = (
                error::METHOD_NOT_FOUND,
                "no method of 2026-07-28: initialize",
            );
            return self.courier.fail(&call, &call.ids, code, text).await;
        }
        match (envelope.kind(), envelope.method()) {
            (Kind::Request, Some(method::INITIALIZE)) if call.era == Era::Legacy => {
                self.introduce(call);
            }
            (Kind::Request, _) => self.request(call).await,
            (Kind::Notification, Some(method::NOTIFICATION_INITIALIZED)) => {
                if let Some(introduction) = &mut self.introduction {
                    introduction.initialized = Some(Arc::clone(&call));
                }
                self.send(call, Role::Initialized, false);
            }
            (Kind::Notification, Some(method::NOTIFICATION_CANCELLED)) => {
                if let Some(id) = envelope.request_id() {
                    self.cancel(id, call);
                }
            }
            _ => self.send(call, Role::Aside(Vec::new()), false),
        }
    }

    /// Begins a session, which ends the one before.
    fn introduce(&mut self, call: Arc<Call>) {
        self.under_way.retain(|_, it| {
            let stays = !matches!(it.role, Role::News);
            if !stays {
                it.task.abort();
            }
            stays
        });
        if let Some(session) = self.session.take().filter(Session::is_kept) {
            let courier = self.courier.clone();
            self.tasks.spawn(async move {
                courier.delete(&session).await;
                Outcome::Done
            });
        }
        self.introduction = Some(Introduction {
            initialize: Arc::clone(&call),
            initialized: None,
        });
        self.send(call, Role::Initialize, false);
    }

    /// Lets a request wait for its turn, if there is room for it.
    async fn request(&mut self, call: Arc<Call>) {
        let limits = &self.courier.limits;
        let weight = weight(&call.message);
        let refusal = if call.is_subscription() {
            let is_one = |it: &&UnderWay| it.call.is_subscription();
            (self.under_way.values().filter(is_one).count() >= limits.subscriptions)
                .then_some("too many subscriptions are open")
        } else {
            (self.waiting_bytes + weight > limits.waiting_bytes)
                .then_some("too many requests wait for others to end")
        };
        if let Some(text) = refusal {
            let code = error::OVERLOADED;
            return self.courier.fail(&call, &call.ids, code, text).await;
        }
        if call.is_subscription() {
            self.send(call, Role::Request, false);
        } else {
            self.waiting_bytes += weight;
            self.waiting.push_back(call);
            self.admit();
        }
    }

    /// Sends the requests whose turn it is.
    fn admit(&mut self) {
        while self.first.is_none() && !self.waiting.is_empty() {
            let is_one =
                |it: &&UnderWay| matches!(it.role, Role::Request) && !it.call.is_subscription();
            let requests = self.under_way.values().filter(is_one).count();
            if requests >= self.courier.limits.requests {
                return;
            }
            if let Some(call) = self.waiting.pop_front() {
                self.waiting_bytes -= weight(&call.message);
                self.send(call, Role::Request, false);
            }
        }
    }

    /// Has a request cancelled, and `notice` say so where that is how it is done.
    fn cancel(&mut self, id: Id<'_>, notice: Arc<Call>) {
        if let Some(at) = self.waiting.iter().position(|call| call.has_id(id)) {
            // Nobody has heard of it yet.
            if let Some(call) = self.waiting.remove(at) {
                self.waiting_bytes -= weight(&call.message);
            }
            return;
        }
        let mut told = Vec::new();
        let mut is_modern = self.session.is_none();
        self.under_way.retain(|task, it| {
            if !matches!(it.role, Role::Request) || !it.call.has_id(id) {
                return true;
            }
            it.call.cancel();
            is_modern = it.call.era == Era::Modern;
            if is_modern {
                // To hang up is how it is cancelled.
                it.task.abort();
            } else {
                told.push(*task);
            }
            !is_modern
        });
        if !is_modern {
            self.send(notice, Role::Aside(told), false);
        }
    }

    fn asides(&self) -> usize {
        let is_one = |it: &&UnderWay| matches!(it.role, Role::Aside(_));
        self.under_way.values().filter(is_one).count()
    }

    /// Sends a message in the session that there is.
    fn send(&mut self, call: Arc<Call>, role: Role, repeated: bool) {
        let courier = self.courier.clone();
        let session = self.session.clone();
        let generation = session.as_ref().map_or(0, |session| session.generation);
        let sent = Arc::clone(&call);
        let is_first = matches!(role, Role::Initialize | Role::Initialized | Role::Again);
        let task = match &role {
            Role::Again => {
                let initialized = self.introduction.as_ref();
                let initialized = initialized.and_then(|it| it.initialized.clone());
                self.tasks
                    .spawn(async move { courier.again(&sent, initialized.as_deref()).await })
            }
            Role::News => self.tasks.spawn(async move {
                match &session {
                    Some(session) => courier.listen(session).await,
                    None => Outcome::Done,
                }
            }),
            _ if call.is_request() => self
                .tasks
                .spawn(async move { courier.ask(&sent, session.as_ref()).await }),
            _ => self
                .tasks
                .spawn(async move { courier.tell(&sent, session.as_ref()).await }),
        };
        if is_first {
            self.first = Some(task.id());
        }
        let under_way = UnderWay {
            call,
            role,
            generation,
            repeated,
            task: task.clone(),
        };
        self.under_way.insert(task.id(), under_way);
    }

    async fn ended(&mut self, joined: Result<(TaskId, Outcome), JoinError>) {
        let (task, outcome) = match joined {
            Ok((task, outcome)) => (task, Some(outcome)),
            Err(error) => (error.id(), None),
        };
        if self.first == Some(task) {
            self.first = None;
        }
        let Some(it) = self.under_way.remove(&task) else {
            return;
        };
        if let Role::Aside(cancelled) = &it.role {
            // Who was told so may still answer, or never end: nobody waits for either.
            for task in cancelled {
                if let Some(it) = self.under_way.remove(task) {
                    it.task.abort();
                }
            }
        }
        match (outcome, &it.role) {
            (None, _) => {
                let text = "the gateway failed";
                self.courier
                    .fail(&it.call, &it.call.ids, error::INTERNAL, text)
                    .await;
            }
            (Some(Outcome::Lost), _) => self.lost(it).await,
            (Some(Outcome::Begun(session)), Role::Initialize) => self.begun(session),
            (Some(Outcome::Begun(session)), Role::Again) => {
                self.begun(session);
                self.repeat();
            }
            (Some(_), Role::Again) => self.give_up().await,
            (Some(_), Role::Initialized) => self.open_news(&it.call),
            (Some(_), _) => {}
        }
    }

    fn begun(&mut self, mut session: Session) {
        self.generation += 1;
        session.generation = self.generation;
        self.session = Some(session);
    }

    /// Opens the stream of what is said unasked, where the service keeps sessions.
    fn open_news(&mut self, initialized: &Arc<Call>) {
        let is_open = |it: &UnderWay| matches!(it.role, Role::News);
        let is_kept = self.session.as_ref().is_some_and(Session::is_kept);
        if is_kept && !self.under_way.values().any(is_open) {
            self.send(Arc::clone(initialized), Role::News, false);
        }
    }

    /// The session is gone that a message was sent in: begins another, once for all of them.
    async fn lost(&mut self, it: UnderWay) {
        let generation = self.session.as_ref().map(|session| session.generation);
        let begun_since = generation.is_some_and(|now| now > it.generation);
        // The client begins another itself, and there is none to repeat this in.
        let is_anew = |it: &UnderWay| matches!(it.role, Role::Initialize);
        let is_final = it.repeated || self.under_way.values().any(is_anew);
        let Some(introduction) = self.introduction.as_ref().filter(|_| !is_final) else {
            return self.not_found(&it).await;
        };
        if begun_since {
            if !matches!(it.role, Role::News) {
                self.send(it.call, it.role, true);
            }
            return;
        }
        let initialize = Arc::clone(&introduction.initialize);
        self.lost.push(it);
        let is_again = |it: &UnderWay| matches!(it.role, Role::Again);
        if !self.under_way.values().any(is_again) {
            tracing::info!("the session is lost, beginning another");
            self.send(initialize, Role::Again, false);
        }
    }

    /// Repeats what was said in the session that was lost.
    fn repeat(&mut self) {
        let is_news = |it: &UnderWay| matches!(it.role, Role::News);
        self.under_way.retain(|_, it| {
            if is_news(it) {
                it.task.abort();
            }
            !is_news(it)
        });
        let initialized = self.introduction.as_ref();
        if let Some(initialized) = initialized.and_then(|it| it.initialized.clone()) {
            self.open_news(&initialized);
        }
        for it in std::mem::take(&mut self.lost) {
            match it.role {
                // Both were done anew.
                Role::News | Role::Initialized => {}
                role if !it.call.is_cancelled() => self.send(it.call, role, true),
                _ => {}
            }
        }
    }

    async fn give_up(&mut self) {
        for it in std::mem::take(&mut self.lost) {
            self.not_found(&it).await;
        }
    }

    async fn not_found(&self, it: &UnderWay) {
        let text = "the session is lost and could not be begun again: initialize";
        let code = error::SESSION_NOT_FOUND;
        self.courier.fail(&it.call, &it.call.ids, code, text).await;
    }
}

/// What a message that waits counts for.
pub(super) fn weight(message: &Bytes) -> usize {
    message.len().max(1 << 10)
}

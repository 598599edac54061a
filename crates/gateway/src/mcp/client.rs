use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_protocol::{Id, error};
use bartizan_transport::bridge::{self, Abilities, Listen, LogLevel};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot, watch};

use super::{
    Door, Refusal,
    all::EVERYWHERE,
    news::Attendance,
    questions::{Asked, Origin, Questions},
    talk::Outgoing,
    tidings::OwnLists,
    upstream::{Introduction, UpstreamSession},
};

/// How much news a client may fall behind before it misses some.
const NEWS: usize = 256;
/// How soon a client is expected back whose stream has ended: its connection may have broken.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// Why a request was cancelled, as raw JSON, if that was said.
type Reason = Option<Box<str>>;

/// Resources, each with the service that has it.
pub(super) type Resources = BTreeSet<(u64, Box<str>)>;

/// What the gateway keeps of a client of an older revision whose session it holds itself.
///
/// All of it can be lost: the token says who the client is, and the rest is asked for again.
#[derive(Debug)]
pub(crate) struct ClientSession {
    introduction: Introduction,
    only_listens: bool,
    modern_capabilities: String,
    abilities: Abilities,
    /// With how often it said so.
    log_level: Mutex<(Option<LogLevel>, u64)>,
    questions: Questions,
    under_way: Mutex<HashMap<Box<str>, oneshot::Sender<Reason>>>,
    upstreams: Mutex<HashMap<u64, Arc<UpstreamSession>>>,
    /// Where it hears news: on the stream that was opened last, and nowhere once it has ended.
    news: Mutex<Option<broadcast::Sender<Bytes>>>,
    /// How many streams are open on which it can be asked.
    streams: watch::Sender<usize>,
    watched: watch::Sender<Resources>,
    attendance: Mutex<HashMap<u64, Attendance>>,
}

impl ClientSession {
    pub(crate) fn new(introduction: Introduction) -> Self {
        let capabilities = &introduction.capabilities;
        Self {
            modern_capabilities: bridge::client_to_modern(capabilities)
                .unwrap_or_else(|_| "{}".to_owned()),
            abilities: Abilities::read(capabilities),
            introduction,
            only_listens: false,
            log_level: Mutex::default(),
            questions: Questions::default(),
            under_way: Mutex::default(),
            upstreams: Mutex::default(),
            news: Mutex::new(Some(broadcast::channel(NEWS).0)),
            streams: watch::Sender::new(0),
            watched: watch::Sender::default(),
            attendance: Mutex::default(),
        }
    }

    /// One that listens on behalf of others, who ask in sessions that are not its own.
    pub(crate) fn listener(introduction: Introduction) -> Self {
        Self {
            only_listens: true,
            ..Self::new(introduction)
        }
    }

    /// Whether what it hears matters to others than itself.
    pub(super) fn only_listens(&self) -> bool {
        self.only_listens
    }

    pub(crate) fn introduction(&self) -> &Introduction {
        &self.introduction
    }

    /// What it can do, in the words of 2026-07-28.
    pub(crate) fn modern_capabilities(&self) -> &str {
        &self.modern_capabilities
    }

    pub(crate) fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Which log messages it wants.
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        self.log_level.lock().0
    }

    /// Notes which log messages it wants; how often it has said so with that.
    pub(crate) fn set_log_level(&self, level: LogLevel) -> u64 {
        let mut said = self.log_level.lock();
        *said = (Some(level), said.1 + 1);
        said.1
    }

    /// How often it has said which log messages it wants.
    pub(crate) fn levels_said(&self) -> u64 {
        self.log_level.lock().1
    }

    /// The session with an upstream that belongs to this client alone.
    pub(crate) fn upstream(self: &Arc<Self>, door: &Door) -> Arc<UpstreamSession> {
        let mut upstreams = self.upstreams.lock();
        let session = upstreams
            .entry(door.service.id())
            .or_insert_with(|| Arc::new(UpstreamSession::of(self)));
        Arc::clone(session)
    }

    /// The lists of a service that only this session may have; none as long as it was not told of
    /// any change.
    pub(super) fn own_lists(&self, service: u64) -> Option<OwnLists> {
        self.upstreams.lock().get(&service)?.own_lists()
    }

    /// Every session that this client has with an upstream, with the service that it is with.
    pub(crate) fn upstreams(&self) -> Vec<(u64, Arc<UpstreamSession>)> {
        let upstreams = self.upstreams.lock();
        upstreams
            .iter()
            .map(|(service, session)| (*service, Arc::clone(session)))
            .collect()
    }

    /// Puts a question to the client, on the stream of the call that it belongs to. What comes back
    /// has the answer, and outlives the stream.
    ///
    /// # Cancellation
    ///
    /// Dropping the future, or what comes of it, forgets the question; an answer that comes late
    /// goes nowhere.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        out: &Outgoing,
        origin: Option<Origin>,
        question: impl FnOnce(&str) -> Bytes,
    ) -> Asked {
        let asked = self.questions.open(self, origin);
        if let Some(id) = asked.id() {
            out.say(question(id)).await;
        }
        asked
    }

    /// Puts a question that belongs to no call to the client, on the stream that it holds open;
    /// nothing if it holds none, has ended, or too many are open.
    ///
    /// # Cancellation
    ///
    /// As [`ClientSession::ask`].
    pub(crate) fn ask_on_stream(
        self: &Arc<Self>,
        origin: Origin,
        question: impl FnOnce(&str) -> Bytes,
    ) -> Option<Asked> {
        if *self.streams.borrow() == 0 {
            return None;
        }
        // Held for both, so that another stream which takes over meanwhile asks once.
        let news = self.news.lock();
        let news = news.as_ref()?;
        let (asked, text) = self.questions.open_outside(self, origin, question)?;
        let _ = news.send(text);
        Some(asked)
    }

    /// The questions that are open with it.
    pub(super) fn questions(&self) -> &Questions {
        &self.questions
    }

    /// Hands an answer to whoever asked; whether somebody did.
    pub(crate) fn answered(&self, id: &str, answer: Bytes) -> bool {
        self.questions.answered(id, answer)
    }

    /// Where the question comes from that has this id here, if it is open and a service's.
    pub(crate) fn origin(&self, id: &str) -> Option<Origin> {
        self.questions.origin(id)
    }

    /// Forgets a question that a service takes back, which calls it `id`; what it is called here.
    pub(crate) fn withdraw(&self, service: u64, id: Id<'_>) -> Option<String> {
        self.questions.withdraw(service, id)
    }

    /// Notes that a request is under way; what comes back ends when it is cancelled, with the reason
    /// if one was given.
    pub(crate) fn under_way(&self, id: &str) -> oneshot::Receiver<Reason> {
        let (sender, cancelled) = oneshot::channel();
        let mut under_way = self.under_way.lock();
        // The entries of requests that have ended are swept by the next one.
        under_way.retain(|_, sender| !sender.is_closed());
        under_way.insert(id.into(), sender);
        cancelled
    }

    /// Cancels a request of the client's; `reason` is raw JSON.
    pub(crate) fn cancel(&self, id: &str, reason: Option<&str>) {
        if let Some(sender) = self.under_way.lock().remove(id) {
            let _ = sender.send(reason.map(Into::into));
        }
    }

    /// Tells the client something that belongs to no request, if it listens.
    pub(crate) fn tell(&self, message: Bytes) {
        if let Some(news) = &*self.news.lock() {
            let _ = news.send(message);
        }
    }

    /// Watches a resource of a service.
    ///
    /// # Errors
    ///
    /// When it watches as many as it may.
    pub(crate) fn watch(&self, service: u64, uri: &str) -> Result<(), Refusal> {
        let resource = (service, uri.into());
        let mut has_room = true;
        self.watched.send_if_modified(|watched| {
            has_room = watched.len() < Listen::MAX_RESOURCES || watched.contains(&resource);
            has_room && watched.insert(resource)
        });
        if has_room {
            return Ok(());
        }
        let text = format!("{} resources are watched already", Listen::MAX_RESOURCES);
        Err(Refusal::answer(error::OVERLOADED, text))
    }

    /// Watches a resource no longer.
    pub(crate) fn unwatch(&self, service: u64, uri: &str) {
        let resource = (service, uri.into());
        self.watched
            .send_if_modified(|watched| watched.remove(&resource));
    }

    /// The resources that it watches, now and as they change.
    pub(super) fn watched(&self) -> watch::Receiver<Resources> {
        self.watched.subscribe()
    }

    /// Replaces what follows the news of a service by what `begin` makes of it, if anything.
    pub(crate) fn attend(
        &self,
        service: u64,
        begin: impl FnOnce(Option<&Attendance>) -> Option<Attendance>,
    ) {
        let mut attendance = self.attendance.lock();
        // Looked at while whoever ends it waits to end what is begun here.
        if self.has_ended() {
            return;
        }
        if let Some(begun) = begin(attendance.get(&service)) {
            attendance.insert(service, begun);
        }
    }

    /// Follows the news of services no longer, and forgets its sessions with them, but of those
    /// that stay.
    pub(crate) fn attend_only(&self, stays: impl Fn(u64) -> bool) {
        let mut attendance = self.attendance.lock();
        attendance.retain(|service, _| *service == EVERYWHERE || stays(*service));
        drop(attendance);
        self.upstreams.lock().retain(|service, _| stays(*service));
    }

    /// What the client is told from now on. Whoever listened before hears no more, for no message
    /// is told twice; a client whose connection broke comes back before anybody knows that it did,
    /// so it is the newest who listens. One that has ended is told nothing.
    ///
    /// The questions outside of calls that it may not have heard come with it.
    pub(crate) fn news(&self) -> (broadcast::Receiver<Bytes>, Vec<Bytes>) {
        let (sender, news) = broadcast::channel(NEWS);
        let mut told = self.news.lock();
        if told.is_some() {
            *told = Some(sender);
        }
        (news, self.questions.outside())
    }

    /// Ends its streams, what follows news for it and what it was asked, and forgets its sessions
    /// with services. Nothing of it begins again.
    pub(crate) fn end(&self) {
        *self.news.lock() = None;
        self.questions.clear();
        let attendance = std::mem::take(&mut *self.attendance.lock());
        let upstreams = std::mem::take(&mut *self.upstreams.lock());
        drop((attendance, upstreams));
    }

    /// Whether the client ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.news.lock().is_none()
    }

    /// Notes that the client holds a stream open on which it can be asked, until this is dropped.
    pub(crate) fn holds_stream(&self) -> HeldStream {
        self.streams.send_modify(|open| *open += 1);
        HeldStream(self.streams.clone())
    }

    /// Completes when the client holds no stream open and does not come back for one.
    pub(crate) async fn has_left(&self, clock: Clock) {
        let mut streams = self.streams.subscribe();
        loop {
            let _ = streams.wait_for(|open| *open == 0).await;
            tokio::select! {
                _ = streams.wait_for(|open| *open > 0) => {}
                () = clock.sleep(BACK_WITHIN) => return,
            }
        }
    }
}

/// A stream that a client holds open, until this is dropped.
pub(crate) struct HeldStream(watch::Sender<usize>);

impl Drop for HeldStream {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

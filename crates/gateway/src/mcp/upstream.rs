use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bartizan_protocol::{
    Envelope, Version, edit, error,
    method::{LOGGING_SET_LEVEL, RESOURCES_SUBSCRIBE, RESOURCES_UNSUBSCRIBE},
};
use bartizan_transport::bridge;
use bytes::Bytes;
use http::Response;
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, Notify, broadcast};

use super::{
    Door, Message, Refusal,
    ask::{self, Turns, fresh_id},
    client::ClientSession,
    known::{Known, Told},
    live::{Live, answer, begin, result_of},
    lost::{self, Asks, Says},
    news::Attendance,
    probe,
    restoring::Restoring,
    single_flight::{Flight, SingleFlight, Turn},
    tidings::{OwnLists, Tidings},
};
use crate::service::Payload;

/// How long who needs a session waits for it to know what the lost one knew, which may be as much as
/// a thousand requests.
const RESTORING: Duration = Duration::from_secs(1);

/// What a client says of itself when it begins.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub(crate) version: Version,
    /// JSON, in the words of the older revisions.
    pub(crate) capabilities: Arc<str>,
    /// JSON.
    pub(crate) info: Arc<str>,
}

impl Introduction {
    /// The gateway itself, which can do nothing that an upstream might ask for.
    pub(crate) fn of_gateway() -> Self {
        Self {
            version: Version::LATEST_LEGACY,
            capabilities: "{}".into(),
            info: super::bridged::GATEWAY_INFO.into(),
        }
    }
}

/// A session of the gateway's own with an upstream of an older revision.
///
/// Begun when it is first needed, and begun again when the upstream has lost it; whoever comes
/// at the same time waits for the same one.
#[derive(Debug)]
pub(crate) struct UpstreamSession {
    introduction: Introduction,
    /// Whose it is, unless several clients share it: who is asked what the upstream asks.
    client: Weak<ClientSession>,
    /// Whether it is for a client whose messages pass through to a session of the upstream's, and
    /// who is asked in those.
    stands_in: bool,
    /// Whether it has taken the place of the one that it stands in for.
    has_taken_over: AtomicBool,
    /// Whether its client has ended it.
    has_ended: AtomicBool,
    live: Arc<ArcSwapOption<Live>>,
    beginning: SingleFlight,
    tidings: Arc<Tidings>,
    known: Arc<Known>,
    attendance: SyncMutex<Weak<Attendance>>,
    turns: Arc<Turns>,
    /// Held by whoever tells it a level, so that the last one told is the last one said.
    levels: Mutex<()>,
}

impl UpstreamSession {
    pub(crate) fn new(introduction: Introduction) -> Self {
        Self {
            introduction,
            client: Weak::new(),
            stands_in: false,
            has_taken_over: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            live: Arc::default(),
            beginning: SingleFlight::default(),
            tidings: Arc::new(Tidings::new(None)),
            known: Arc::default(),
            attendance: SyncMutex::default(),
            turns: Arc::default(),
            levels: Mutex::default(),
        }
    }

    /// One of this client alone.
    pub(crate) fn of(client: &Arc<ClientSession>) -> Self {
        let lists = (!client.only_listens()).then(|| fastrand::u64(..));
        Self {
            client: Arc::downgrade(client),
            tidings: Arc::new(Tidings::new(lists)),
            ..Self::new(client.introduction().clone())
        }
    }

    /// One for a client whose messages pass through to a session of the upstream's, should that be
    /// lost.
    pub(super) fn stand_in(introduction: Introduction) -> Self {
        Self {
            stands_in: true,
            ..Self::new(introduction)
        }
    }

    /// Notes that the session which it stands in for is lost.
    pub(super) fn take_over(&self) {
        self.has_taken_over.store(true, Ordering::Relaxed);
    }

    /// Whether it has taken the place of the session which it stands in for.
    pub(super) fn has_taken_over(&self) -> bool {
        self.has_taken_over.load(Ordering::Relaxed)
    }

    /// Whether its client has ended it: it does not begin again.
    pub(super) fn has_ended(&self) -> bool {
        let client = self.client.upgrade();
        self.has_ended.load(Ordering::Relaxed) || client.is_some_and(|it| it.has_ended())
    }

    /// The session as it is, begun if it was not.
    ///
    /// # Errors
    ///
    /// When the upstream does not begin one, or did not for whoever asked it meanwhile.
    pub(crate) async fn live(&self, door: &Door) -> Result<Arc<Live>, Refusal> {
        if let Some(live) = self.live.load_full() {
            return Ok(live);
        }
        let turn = self.beginning.turn(|| self.live.load_full());
        match door.in_time(turn).await? {
            Turn::Heard(live) => Ok(live),
            Turn::InVain => Err(not_begun(door)),
            Turn::Ask(flight) => self.begun(door, flight).await,
        }
    }

    /// A session in the place of `lost`, which may have been replaced by somebody else already.
    async fn replace(&self, door: &Door, lost: &Arc<Live>) -> Result<Arc<Live>, Refusal> {
        let other = || {
            self.live
                .load_full()
                .filter(|live| !Arc::ptr_eq(live, lost))
        };
        let flight = match door.in_time(self.beginning.turn(other)).await? {
            Turn::Heard(live) => return Ok(live),
            Turn::InVain => return Err(not_begun(door)),
            Turn::Ask(flight) => flight,
        };
        self.live.store(None);
        self.tidings.lose();
        tracing::info!(
            service = &**door.service.name(),
            "the upstream lost a session; beginning another"
        );
        self.begun(door, flight).await
    }

    /// Whether the session with the upstream is this one, or none that took its place.
    pub(super) async fn is_still(&self, live: &Arc<Live>) -> bool {
        let _flight = self.beginning.next().await;
        let now = self.live.load();
        now.as_ref().is_none_or(|now| Arc::ptr_eq(now, live))
    }

    /// Told when another may have taken the place of the session with the upstream.
    pub(super) fn replaced(&self) -> Arc<Notify> {
        self.tidings.replaced()
    }

    /// Notes that the upstream may be another than it was, or was away: whoever listens asks for its
    /// lists again.
    pub(super) fn is_back(&self, door: &Door) {
        self.tidings.is_back(door);
    }

    /// Begins a session, where there is none: the first, or one that is told what the lost one knew.
    /// Whoever needed it waits a while for that, and need not stay for it to happen.
    async fn begun(&self, door: &Door, flight: Flight) -> Result<Arc<Live>, Refusal> {
        if self.has_ended() {
            return Err(Refusal::session_not_found());
        }
        let (own, introduction) = (door.for_all(), self.introduction.clone());
        let stands_in = self.stands_in;
        let (known, client) = (Arc::clone(&self.known), self.client.clone());
        let (tidings, place) = (Arc::clone(&self.tidings), Arc::clone(&self.live));
        // In a task of its own, which goes by no caller's deadline: whoever gives up waiting leaves
        // the session to the others.
        let begins = tokio::spawn(async move {
            let begun = begin(&own, &introduction, stands_in).await;
            let begun = Arc::new(begun.inspect_err(|_| flight.failed())?);
            let kept = begun.kept(&own);
            if kept.is_some() {
                tidings.has_begun(&own);
            }
            // What the upstream asks first is for the message of the client that one in the place
            // of its own is begun for: that goes first.
            let is_told = kept.is_some() && !stands_in;
            let told = is_told.then(|| Restoring::begin(&own, &begun, &client, &known));
            // Last, for whoever finds it there waits for nothing.
            place.store(kept);
            drop(flight);
            Ok((begun, told.flatten()))
        });
        let (begun, told) = door.in_time(begins).await?.unwrap_or_else(|_| {
            let text = format!("{} did not begin a session", door.service.name());
            Err(Refusal::answer(error::INTERNAL, text))
        })?;
        if self.has_ended() {
            // Meanwhile: nothing is to be done after the end.
            return Err(Refusal::session_not_found());
        }
        if let Some(told) = told {
            tokio::select! {
                _ = told => {}
                () = door.shared.clock().sleep(RESTORING) => {}
            }
        }
        Ok(begun)
    }

    /// Has a new session know what the lost one knew, if that is anything, and nobody has seen to it.
    pub(super) fn restore(&self, door: &Door, live: &Arc<Live>) {
        Restoring::begin(door, live, &self.client, &self.known);
    }

    /// Sends a message in this session; once more in another if the upstream had lost it, for
    /// then it did nothing with the first.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub(super) async fn send(
        &self,
        door: &Door,
        asks: Asks,
        message: impl Fn(&Arc<Live>) -> Message,
    ) -> Result<(Response<Payload>, Arc<Live>), Refusal> {
        let live = self.live(door).await?;
        let response = lost::look(door, door.send(message(&live)).await?).await?;
        if response.status().is_client_error() {
            probe::doubt_older(door, response.status(), &response.body().bytes);
        }
        match live.says(&response, asks) {
            Says::Lost if asks != Asks::Nothing => {}
            Says::Lost => return Ok((response, live)),
            Says::Nothing => return Ok((lost::goes_on(door, asks, response)?, live)),
            // Boxed: few answers leave it open, and all would be as large.
            Says::Perhaps => {
                let again = lost::goes_again(&response, asks);
                if !Box::pin(self.may_go_again(door, &live, again)).await {
                    return Ok((lost::goes_on(door, asks, response)?, live));
                }
            }
        }
        let other = self.replace(door, &live).await?;
        if self.has_ended() {
            // Meanwhile: what is sent now would be done after the end.
            return Ok((response, live));
        }
        let response = lost::look(door, door.send(message(&other)).await?).await?;
        Ok((other.sent_again(door, asks, response)?, other))
    }

    /// Whether a message goes once more whose answer left open whether the session is lost: if it is,
    /// and the message may go `again`. Otherwise the next finds another session.
    async fn may_go_again(&self, door: &Door, live: &Arc<Live>, again: bool) -> bool {
        if !live.is_forgotten(door).await {
            return false;
        }
        if !again {
            // Whoever comes next tries again if this was in vain.
            let _ = self.replace(door, live).await;
            return false;
        }
        true
    }

    /// What holds the stream of news open, begun by `begin` if nobody else holds it.
    pub(super) fn attended(&self, begin: impl FnOnce() -> Attendance) -> Arc<Attendance> {
        let mut held = self.attendance.lock();
        held.upgrade().unwrap_or_else(|| {
            let begun = Arc::new(begin());
            *held = Arc::downgrade(&begun);
            begun
        })
    }

    /// The turns of calls that may be asked about.
    pub(super) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Notes what the upstream is told, in this session or in the one that it stands in for.
    pub(super) fn note(&self, told: Told) {
        self.known.note(told);
    }

    /// Counts one more who watches a resource.
    pub(super) fn count_watch(&self, uri: &str) {
        self.known.count_watch(uri);
    }

    /// Counts one less who watches a resource; whether it was the last.
    pub(super) fn count_unwatch(&self, uri: &str) -> bool {
        self.known.count_unwatch(uri)
    }

    /// Whether anybody watches a resource.
    pub(super) fn is_watched(&self, uri: &str) -> bool {
        self.known.is_watched(uri)
    }

    /// Sends a request of the gateway's own and gives the response, if one came.
    pub(crate) async fn request(&self, door: &Door, method: &str, params: &str) -> Option<Bytes> {
        let body = error::request(&fresh_id(), method, Some(params));
        let sent = self.send(door, Asks::Again, |live| live.aside(body.clone()));
        let sent = sent.await;
        let (response, live) = sent.ok()?;
        answer(door, &live, &self.client, response).await
    }

    /// Subscribes to a resource, unless the session with the upstream has; what the upstream says
    /// to that, if anything.
    pub(super) async fn subscribe(&self, door: &Door, uri: &str) -> Option<Bytes> {
        let body = error::request(&fresh_id(), RESOURCES_SUBSCRIBE, Some(&uri_params(uri)));
        let mut live = self.live(door).await.ok()?;
        for may_be_lost in [true, false] {
            let mut is_subscribed = live.hold(door, uri).await.ok()?;
            if *is_subscribed {
                return Some(bridge::empty_result(&fresh_id()));
            }
            let response = door.send(live.aside(body.clone())).await.ok()?;
            let response = lost::look(door, response).await.ok()?;
            if may_be_lost && live.says(&response, Asks::Again) == Says::Lost {
                // The one in its place may have subscribed already, as the lost one had.
                live = self.replace(door, &live).await.ok()?;
                continue;
            }
            let answer = answer(door, &live, &self.client, response).await;
            *is_subscribed = answer.as_deref().and_then(result_of).is_some();
            return answer;
        }
        None
    }

    /// Subscribes to a resource no longer, unless somebody watches it again: in the session as it is,
    /// for another knows nothing of it.
    pub(super) async fn unsubscribe(&self, door: &Door, uri: &str) {
        // One that is being begun is told what is watched then.
        let flight = self.beginning.next().await;
        let Some(live) = self.live.load_full() else {
            return;
        };
        drop(flight);
        let Ok(mut is_subscribed) = live.hold(door, uri).await else {
            return;
        };
        if self.is_watched(uri) {
            return;
        }
        let params = uri_params(uri);
        let body = error::request(&fresh_id(), RESOURCES_UNSUBSCRIBE, Some(&params));
        *is_subscribed = false;
        let sent = async { lost::look(door, door.send(live.aside(body)).await?).await };
        if let Ok(response) = sent.await {
            answer(door, &live, &self.client, response).await;
        }
    }

    /// Sees to a question that the upstream asked in `live`, outside of calls.
    pub(crate) async fn asked(&self, door: &Door, live: &Arc<Live>, question: Bytes) {
        ask::put(door, live, self.client.upgrade().as_ref(), question).await;
    }

    /// Sends a notification, if the session has begun.
    pub(crate) async fn notify(&self, door: &Door, body: Bytes) {
        // One that is being begun will be asked what there is to know.
        let Some(live) = self.live.load_full() else {
            return;
        };
        // Nobody waits for an answer to a notification.
        let _ = door.send(live.aside(body)).await;
    }

    /// Notes what a message of the upstream's says about what is known of it: of the lists of this
    /// session alone, if only its client asks for lists in it.
    pub(super) fn heard(&self, door: &Door, envelope: &Envelope<'_>) {
        self.tidings.heard(door, envelope);
    }

    /// The lists of this session, once it was told that they have changed: they may be no other's.
    pub(super) fn own_lists(&self) -> Option<OwnLists> {
        self.tidings.own_lists()
    }

    /// Passes on what the upstream said to nobody in particular.
    pub(crate) fn tell(&self, message: Bytes) {
        self.tidings.tell(message);
    }

    /// What the upstream says to nobody in particular from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<Bytes> {
        self.tidings.news()
    }

    /// Has the upstream send every log message, so that each request can have its own level.
    ///
    /// # Errors
    ///
    /// When no answer came. That the upstream does not log is none.
    pub(crate) async fn log_everything(&self, door: &Door) -> Result<(), Refusal> {
        let live = self.live(door).await?;
        let logs = edit::get(live.result(), &["capabilities", "logging"]).is_some();
        if logs && self.known.level().is_none() {
            // Twice is as good as once.
            self.set_level(door, ALL_LEVELS).await;
        }
        Ok(())
    }

    /// Has the upstream send the log messages that `params` ask for, in this session and in those
    /// that take its place; whether it answered.
    async fn set_level(&self, door: &Door, params: &str) -> bool {
        let answer = self.request(door, LOGGING_SET_LEVEL, params).await;
        if answer.is_some() {
            self.known.set_level(params.into());
        }
        answer.is_some()
    }

    /// Has the upstream send the log messages that `params` ask for, which its client said as the
    /// `said`th word of its on that, now or in the session that is begun next. Nothing if it has said
    /// another since: whoever brings that waits for this.
    pub(crate) async fn tell_level(&self, door: &Door, params: Arc<str>, said: u64) {
        let _turn = self.levels.lock().await;
        let client = self.client.upgrade();
        if client.is_some_and(|it| it.levels_said() == said) && !self.set_level(door, &params).await
        {
            self.note(Told::Level(params));
        }
    }

    /// Tells the upstream that the session is over, if there is one.
    pub(crate) async fn end(&self, door: &Door) {
        self.has_ended.store(true, Ordering::Relaxed);
        // One that is being begun ends when it is dropped.
        let Some(live) = self.live.swap(None) else {
            return;
        };
        if live.id().is_none() {
            return;
        }
        live.set_over();
        // Whether it listens is its own affair: it will have forgotten the session some day.
        let _ = door.send(live.farewell()).await;
    }
}

fn not_begun(door: &Door) -> Refusal {
    let text = format!("{} did not begin a session just now", door.service.name());
    Refusal::answer(error::UNREACHABLE, text)
}

const ALL_LEVELS: &str = r#"{"level":"debug"}"#;

pub(super) fn uri_params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, edit::string(uri))
}

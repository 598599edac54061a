use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU16, Ordering},
    },
    time::Duration,
};

use bartizan_testkit::{Recorded, Reply, Upstream};

use crate::record::Record;

/// How long a call takes.
const CALL: Duration = Duration::from_millis(5);
/// How long a probe takes.
const PROBE: Duration = Duration::from_millis(1);
const SLOWER: u32 = 100;

/// How an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Well,
    Slow,
    Failing,
}

/// An instance that can be killed, and comes back at the same address.
pub(crate) struct Instance {
    name: &'static str,
    address: SocketAddr,
    state: Arc<AtomicU8>,
    record: Record,
    alive: Option<Upstream>,
}

impl Instance {
    pub(crate) async fn start(number: u8, record: &Record) -> Self {
        // On an address of its own where the system has more than one loopback address: nobody
        // connects from there, so nobody takes the port while it is free. Tests run side by side.
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let host = if cfg!(target_os = "linux") {
            let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            Ipv4Addr::new(127, 3, high, low)
        } else {
            Ipv4Addr::LOCALHOST
        };
        let mut instance = Self {
            name: ["a", "b", "c"][usize::from(number) - 1],
            address: SocketAddr::from((host, 0)),
            state: Arc::new(AtomicU8::new(State::Well as u8)),
            record: record.clone(),
            alive: None,
        };
        instance.rise().await;
        instance
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens, again or for the first time.
    pub(crate) async fn rise(&mut self) {
        let (state, record, name) = (Arc::clone(&self.state), self.record.clone(), self.name);
        let answer = move |request: &Recorded| reply(&state, &record, name, request);
        let upstream = Upstream::start_at(self.address, answer).await;
        self.address = upstream.address();
        self.alive = Some(upstream);
    }

    /// Breaks off everything; from when to when that took.
    pub(crate) async fn kill(&mut self) -> RangeInclusive<Duration> {
        let upstream = self.alive.take().expect("an instance that is alive");
        let begun = self.record.now();
        upstream.kill().await;
        begun..=self.record.now()
    }

    pub(crate) fn become_(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
}

fn reply(state: &AtomicU8, record: &Record, name: &'static str, request: &Recorded) -> Reply {
    let state = match state.load(Ordering::Relaxed) {
        1 => State::Slow,
        2 => State::Failing,
        _ => State::Well,
    };
    let path = request.uri.path();
    if path == "/api/definition" {
        return Reply::status(404);
    }
    let slower = if state == State::Slow { SLOWER } else { 1 };
    if state == State::Failing {
        if path != "/health" {
            record.arrived(name);
        }
        return Reply::status(500);
    }
    if path == "/health" {
        return Reply::json("{}").after(PROBE * slower);
    }
    record.arrived(name);
    let id = &request.json()["id"];
    Reply::json(format!(r#"{{"id":{id}}}"#)).after(CALL * slower)
}

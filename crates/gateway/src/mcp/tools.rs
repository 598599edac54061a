//! What the gateway knows of a service's tools, for the calls that pass through it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_classify::RequestClass;
use bartizan_clock::Instant;
use bartizan_protocol::{
    Envelope, edit, error,
    headers::{self, Param},
    method::{TOOLS_CALL, TOOLS_LIST},
};
use bartizan_transport::bridge::{self, InvalidTool};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use parking_lot::RwLock;
use tokio::sync::Mutex;

use super::{Door, Refusal, pages, tool};

/// How many tools of one service are known; more are not asked for.
const MAX_TOOLS: usize = 10_000;
/// The longest name of a tool that is known, and the most bytes of what headers mirror of its
/// arguments: ten times what tools have, so that a service cannot fill the memory with ten thousand.
const MAX_NAME_BYTES: usize = 1_024;
const MAX_PARAM_BYTES: usize = 4_096;
/// How long what is known is believed. Shorter if the service says that its tools changed.
const BELIEVE: Duration = Duration::from_secs(300);
/// How long nobody asks again after an attempt that failed.
const GIVE_PEACE: Duration = Duration::from_secs(10);
/// The longest that a call waits for what is to be known of its tool.
const PATIENCE: Duration = Duration::from_secs(10);

/// What matters of one tool.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// The arguments that headers mirror.
    pub(crate) params: Arc<[Param]>,
    /// What its annotations say, if they are trusted.
    class: RequestClass,
    learned: Instant,
}

/// The tools of one service, as far as anybody had to know them.
///
/// Learned from lists that pass by, and asked for when a call needs to know a tool that nobody
/// has seen. What is known stays when a list cannot be had.
#[derive(Debug)]
pub(crate) struct Tools {
    trusted: bool,
    // Held for one look-up or one page of a list; only calls that must know their tool look.
    known: RwLock<HashMap<Box<str>, Tool>>,
    /// Until when nobody need ask for the whole list, in nanoseconds of the gateway's clock.
    settled: AtomicU64,
    /// What was learned before this is doubted.
    doubted: AtomicU64,
    asking: Mutex<()>,
}

impl Tools {
    /// Nothing is known yet. `trusted` says whether annotations are believed.
    pub(crate) fn new(trusted: bool) -> Self {
        Self {
            trusted,
            known: RwLock::default(),
            settled: AtomicU64::new(0),
            doubted: AtomicU64::new(0),
            asking: Mutex::default(),
        }
    }

    /// Whether the service is believed when it calls a tool harmless.
    pub(super) fn trusted(&self) -> bool {
        self.trusted
    }

    /// What may happen to calls of a tool, as far as the service is trusted and the tool known.
    pub(super) fn class(&self, name: &str) -> RequestClass {
        if !self.trusted {
            return RequestClass::Unsafe;
        }
        let known = self.known.read();
        known.get(name).map_or(RequestClass::Unsafe, |it| it.class)
    }

    /// Learns from an answer to `tools/list`.
    pub(super) fn learn(&self, answer: &[u8], now: Instant) {
        let listed = edit::get(answer, &["result", "tools"]);
        let listed = listed.and_then(|listed| edit::elements(listed.as_bytes()));
        let listed = listed.unwrap_or_default().into_iter();
        let mut known = self.known.write();
        for (name, tool) in listed.filter_map(|it| self.read(it.as_bytes(), now)) {
            if known.len() < MAX_TOOLS || known.contains_key(&name) {
                known.insert(name, tool);
            }
        }
    }

    /// What matters of a tool, and its name; nothing of one that is too long to be kept.
    fn read(&self, json: &[u8], now: Instant) -> Option<(Box<str>, Tool)> {
        let name = edit::get(json, &["name"]).and_then(edit::text)?;
        // Tools whose annotations are invalid are nobody's to call.
        let params = edit::get(json, &["inputSchema"]).and_then(|it| Param::all(it).ok());
        let params = params.unwrap_or_default();
        let bytes: usize = params.iter().map(Param::bytes).sum();
        if name.len() > MAX_NAME_BYTES || bytes > MAX_PARAM_BYTES {
            return None;
        }
        let tool = Tool {
            params: params.into(),
            class: if self.trusted {
                class(json)
            } else {
                RequestClass::Unsafe
            },
            learned: now,
        };
        Some((name.into(), tool))
    }

    /// The service's tools have changed: what is known may be wrong.
    pub(super) fn doubt(&self, now: Instant) {
        self.settled.store(0, Ordering::Relaxed);
        self.doubted.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// When there was last a reason for doubt, in nanoseconds of the gateway's clock.
    pub(super) fn doubted(&self) -> u64 {
        self.doubted.load(Ordering::Relaxed)
    }

    /// The tool, if there is no reason to doubt what is known.
    fn believed(&self, name: &str, now: Instant) -> Option<Tool> {
        let tool = self.known.read().get(name).cloned()?;
        let doubted = self.doubted.load(Ordering::Relaxed) >= tool.learned.as_nanos();
        (!doubted && now - tool.learned < BELIEVE).then_some(tool)
    }

    fn is_settled(&self, now: Instant) -> bool {
        now.as_nanos() < self.settled.load(Ordering::Relaxed)
    }

    fn settle(&self, until: Instant) {
        self.settled.store(until.as_nanos(), Ordering::Relaxed);
    }

    fn last_known(&self, name: &str) -> Option<Tool> {
        self.known.read().get(name).cloned()
    }
}

/// What is known of the tool `name` of the door's service, which is asked if nobody knows.
/// Several who want to know wait for one answer.
pub(super) async fn find(door: &Door, name: &str) -> Option<Tool> {
    let tools = door.service.mcp()?.tools();
    let clock = door.shared.clock();
    if let Some(tool) = tools.believed(name, clock.now()) {
        return Some(tool);
    }
    if tools.is_settled(clock.now()) {
        return tools.last_known(name);
    }
    let _turn = tools.asking.lock().await;
    if tools.is_settled(clock.now()) {
        return tools.last_known(name);
    }
    // As of when what is heard is known: it may change while it is told.
    let asked = clock.now();
    let patience = PATIENCE.min(door.service.timeout());
    let (house, nobody) = (door.for_house(), tool::nobody());
    let listed = tokio::select! {
        listed = pages::all(&house, Some(&nobody), TOOLS_LIST) => {
            listed.map_err(|error| error.to_string())
        }
        () = clock.sleep(patience) => Err("no list in time".to_owned()),
    };
    match listed {
        Ok(listed) => {
            let listed = listed.iter().filter_map(|it| tools.read(it, asked));
            *tools.known.write() = listed.take(MAX_TOOLS).collect();
            if tools.doubted() < asked.as_nanos() {
                tools.settle(asked + BELIEVE);
            }
        }
        // What is known is all there is to go by.
        Err(reason) => {
            let service = &**door.service.name();
            tracing::debug!(service, reason, "the tools cannot be listed");
            tools.settle(clock.now() + GIVE_PEACE);
        }
    }
    tools.last_known(name)
}

/// What the annotations of a tool say of its calls.
fn class(tool: &[u8]) -> RequestClass {
    let says = |hint| edit::get(tool, &["annotations", hint]) == Some("true");
    if says("readOnlyHint") {
        RequestClass::Safe
    } else if says("idempotentHint") {
        RequestClass::Idempotent
    } else {
        RequestClass::Unsafe
    }
}

/// An answer to `tools/list` without the tools that nobody may offer, and learned from.
pub(super) fn listed(door: &Door, answer: Bytes) -> Bytes {
    let answer = match bridge::drop_invalid_tools(&answer) {
        Ok((kept, dropped)) => {
            tell_left_out(door.service.name(), &dropped);
            kept
        }
        Err(_) => answer,
    };
    learn(door, &answer);
    answer
}

/// Says once for a whole list what is missing from it: a list may have as many tools as fit into an
/// answer, with names as long, and is asked for again and again.
fn tell_left_out(service: &str, dropped: &[InvalidTool]) {
    /// Enough to find the tool by.
    const MOST_CHARACTERS: usize = 64;

    let Some(first) = dropped.first() else {
        return;
    };
    let end = first.name.char_indices().nth(MOST_CHARACTERS);
    let name = end.map_or(&*first.name, |(end, _)| &first.name[..end]);
    tracing::warn!(
        service,
        tools = dropped.len(),
        first = name,
        reason = %first.reason,
        "tools with an invalid x-mcp-header are left out"
    );
}

/// Learns from an answer to `tools/list`.
pub(super) fn learn(door: &Door, answer: &[u8]) {
    if let Some(mcp) = door.service.mcp() {
        mcp.tools().learn(answer, door.shared.clock().now());
    }
}

/// Holds a call of a client of 2026-07-28 to what its tool's schema says of headers, where the
/// upstream never sees them or is of an older revision, and will not.
///
/// # Errors
///
/// When a header does not say what the arguments say.
pub(super) async fn check(
    door: &Door,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
) -> Result<(), Refusal> {
    let (Some(TOOLS_CALL), Some(name)) = (envelope.method(), envelope.subject()) else {
        return Ok(());
    };
    let Some(tool) = find(door, &name).await else {
        return Ok(());
    };
    let arguments = envelope.arguments().unwrap_or("{}");
    headers::check_params(&tool.params, headers, arguments).map_err(|mismatch| {
        let status = StatusCode::BAD_REQUEST;
        Refusal::new(status, error::HEADER_MISMATCH, mismatch.to_string())
    })
}

#[cfg(test)]
mod tests {
    use bartizan_clock::Clock;
    use bartizan_telemetry::logs;
    use bartizan_testkit::Log;

    use super::*;

    const PAGE: &[u8] = br#"{"id":1,"result":{"tools":[
        {"name":"look","inputSchema":{},"annotations":{"readOnlyHint":true}},
        {"name":"put","inputSchema":{},"annotations":{"idempotentHint":true,"readOnlyHint":false}},
        {"name":"send","inputSchema":{"type":"object","properties":{"to":{"type":"string","x-mcp-header":"To"}}}}
    ]}}"#;

    #[test]
    fn annotations_count_only_if_they_are_trusted() {
        let now = Clock::default().now();
        let tools = Tools::new(true);
        tools.learn(PAGE, now);
        assert_eq!(tools.class("look"), RequestClass::Safe);
        assert_eq!(tools.class("put"), RequestClass::Idempotent);
        assert_eq!(tools.class("send"), RequestClass::Unsafe);
        assert_eq!(tools.class("unknown"), RequestClass::Unsafe);
        let untrusted = Tools::new(false);
        untrusted.learn(PAGE, now);
        assert_eq!(untrusted.class("look"), RequestClass::Unsafe);
    }

    #[test]
    fn what_is_known_is_doubted_with_time_and_when_it_changed() {
        let now = Clock::default().now();
        let tools = Tools::new(false);
        tools.learn(PAGE, now);
        assert_eq!(tools.believed("send", now).unwrap().params.len(), 1);
        assert!(tools.believed("send", now + BELIEVE).is_none());
        let later = now + Duration::from_secs(1);
        tools.doubt(later);
        assert!(tools.believed("send", later).is_none());
        assert!(tools.last_known("send").is_some());
        tools.learn(PAGE, later + Duration::from_secs(1));
        assert!(
            tools
                .believed("send", later + Duration::from_secs(2))
                .is_some()
        );
    }

    #[test]
    fn what_is_too_long_to_be_kept_is_not_known() {
        let now = Clock::default().now();
        let tools = Tools::new(true);
        let page = |name: &str, header: &str| {
            let schema = format!(
                r#"{{"type":"object","properties":{{"a":{{"type":"string","x-mcp-header":"{header}"}}}}}}"#
            );
            let tool = format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#);
            format!(r#"{{"result":{{"tools":[{tool},{{"name":"after"}}]}}}}"#)
        };
        let longest = "n".repeat(MAX_NAME_BYTES);
        for (name, header, is_kept) in [
            (&*longest, "A", true),
            (&*format!("{longest}n"), "A", false),
            ("short", &*"A".repeat(MAX_PARAM_BYTES), false),
        ] {
            tools.known.write().clear();
            tools.learn(page(name, header).as_bytes(), now);
            assert_eq!(tools.last_known(name).is_some(), is_kept, "{}", name.len());
            assert!(tools.last_known("after").is_some());
        }
    }

    #[test]
    fn a_list_without_some_of_its_tools_is_one_short_line() {
        let tool = format!(
            r#"{{"name":"{}","inputSchema":{{"type":"object","properties":{{"a":{{"type":"string","x-mcp-header":"not one"}}}}}}}}"#,
            "\u{e9}".repeat(1_000)
        );
        let tools = vec![tool; 500].join(",");
        let answer = Bytes::from(format!(r#"{{"result":{{"tools":[{tools}]}}}}"#));
        let (_, dropped) = bridge::drop_invalid_tools(&answer).unwrap();
        let (log, format) = (Log::default(), logs::Format::Text);
        let writer = log.clone();
        let subscriber = logs::subscriber("warn", format, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber.unwrap(), || {
            tell_left_out("s", &dropped);
            tell_left_out("s", &[]);
        });
        let text = log.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let first = format!("first=\"{}\"", "\u{e9}".repeat(64));
        assert!(
            text.contains("tools=500") && text.contains(&first),
            "{text}"
        );
    }

    #[test]
    fn no_more_than_so_many_tools_are_known() {
        let now = Clock::default().now();
        let tools = Tools::new(false);
        let page = |from: usize, to: usize| {
            let all: Vec<_> = (from..to)
                .map(|n| format!(r#"{{"name":"t{n}"}}"#))
                .collect();
            format!(r#"{{"result":{{"tools":[{}]}}}}"#, all.join(","))
        };
        tools.learn(page(0, MAX_TOOLS - 1).as_bytes(), now);
        tools.learn(page(MAX_TOOLS - 1, MAX_TOOLS + 9).as_bytes(), now);
        assert_eq!(tools.known.read().len(), MAX_TOOLS);
    }
}

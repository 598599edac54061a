//! Whether the instances of a service are well: each is asked in the way that it is spoken to.
//!
//! A probe goes beside the stack: no breaker, limit, retry or credential has a part in it, so it
//! finds an instance that they keep calls from.

use std::{pin::pin, time::Duration};

use bartizan_balance::Balancer;
use bartizan_client::Client;
use bartizan_clock::Clock;
use bartizan_config::ServiceSettings;
use bartizan_health::{
    Checker, Concurrency, HealthConfig, HttpProbe, InvalidHealth, Probe, ProbeResult, Target,
    TcpProbe,
};
use bartizan_protocol::{Envelope, headers::MCP_SESSION_ID, sse::Decoder};
use bartizan_transport::{bridge, host::Host};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
    uri::{PathAndQuery, Scheme},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};

use super::{Cause, Failure, Owner, Service, endpoint::Endpoint};
use crate::mcp::{Introduction, is_event_stream};

/// What an older server knows, and what a newer one refuses in the words of the protocol.
const PING: &str = r#"{"jsonrpc":"2.0","id":"bartizan-probe","method":"ping"}"#;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// The most bytes of an answer that are looked at.
const MAX_ANSWER: usize = 64 * 1024;

/// What probes of a service are about.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    /// The path that the operator names, for whatever speaks HTTP.
    pub(super) path: Option<PathAndQuery>,
    /// Whether instances that answer by HTTP do so in the words of MCP.
    pub(super) speaks_mcp: bool,
    /// Whether a program is started only to see whether it would.
    pub(super) may_start: bool,
}

/// Asks the instances of a service, until it is dropped. `None` if the operator wants no probes.
///
/// # Panics
///
/// Outside a tokio runtime.
pub(super) fn checker(
    settings: &ServiceSettings,
    client: &Client,
    balancer: &Balancer<Endpoint>,
    bound: Concurrency,
    clock: Clock,
) -> Result<Option<Checker>, InvalidProbes> {
    let Some(health) = &settings.health else {
        return Ok(None);
    };
    let config = HealthConfig::builder()
        .interval(*health.interval)
        .timeout(*health.timeout)
        .healthy_threshold(health.healthy_threshold.get())
        .unhealthy_threshold(health.unhealthy_threshold.get())
        .max_concurrent(bound.limit())
        .build()?;
    let questions = Questions {
        path: health.path.as_ref().map(|path| path.parse()).transpose()?,
        speaks_mcp: settings.kind.mcp().is_some(),
        may_start: false,
    };
    let probe = InstanceProbe::new(questions, client, balancer);
    let checker = Checker::builder(config, probe)
        .name(&*settings.name)
        .clock(clock)
        .concurrency(bound)
        .on_transition(balancer.health_listener())
        .spawn(balancer.targets());
    Ok(Some(checker))
}

/// Probes that cannot be.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidProbes {
    #[error(transparent)]
    Health(#[from] InvalidHealth),
    #[error(transparent)]
    Path(#[from] http::uri::InvalidUri),
}

impl Service {
    /// Has the instance that failed a call asked soon whether it is well.
    pub(super) fn suspect(&self, failure: &Failure) {
        let Some(checker) = &self.checker else {
            return;
        };
        match &failure.cause {
            Cause::TimedOut { endpoint, .. }
            | Cause::Exchange { endpoint, .. }
            | Cause::Host { endpoint, .. } => checker.probe_soon(endpoint),
            Cause::NoEndpoints(_) => checker.probe_unhealthy_soon(),
            _ => {}
        }
    }

    /// The same for one that answered that it fails.
    pub(super) fn suspect_endpoint(&self, id: &str) {
        if let Some(checker) = &self.checker {
            checker.probe_soon(id);
        }
    }

    /// Probes all instances now, for somebody who wants to know how they are.
    ///
    /// Whoever asks within a recheck time of the last probes, or while they are under way, has
    /// those; nobody waits much longer than one probe may take, however many there are. Without
    /// probes there is nothing to wait for.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the others, if there are any, with what the schedule finds.
    pub(crate) async fn probe_now(&self) {
        let Some(checker) = &self.checker else {
            return;
        };
        let config = checker.config();
        // A probe that ends at its timeout is to be counted yet.
        let patience = config.timeout().mul_f64(1.25);
        let probes = async {
            let mut last = self.probed.lock().await;
            let now = self.clock.now();
            if last.is_none_or(|last| now - last >= config.recheck()) {
                *last = Some(now);
                checker.probe_all().await;
            }
        };
        tokio::select! {
            () = probes => {}
            () = self.clock.sleep(patience) => {}
        }
    }

    /// Brings the counters of probes up to date.
    pub(super) fn count_probes(&self) {
        let Some(checker) = &self.checker else {
            return;
        };
        let stats = checker.stats();
        let (metrics, readings) = (&self.metrics, &self.readings);
        let [alive, dead] = &metrics.health_probes;
        readings.health_probes[0].take(stats.succeeded, alive);
        readings.health_probes[1].take(stats.failed, dead);
        let [healthy, unhealthy] = &metrics.health_transitions;
        readings.health_transitions[0].take(stats.became_healthy, healthy);
        readings.health_transitions[1].take(stats.became_unhealthy, unhealthy);
    }
}

/// Asks an instance in the way that it is spoken to.
///
/// | instance | question | alive |
/// |---|---|---|
/// | with a `health_url` | `GET` of it | anything below 500 |
/// | by HTTP, not of MCP | `GET` of the path, or of `/health` | anything below 500 |
/// | by HTTP, of MCP | `GET` of the path; without one a `ping` in no session | see [`judge`] |
/// | by HTTP+SSE | a session that is begun and ended | any answer to it |
/// | a program | `ping` while it runs | any answer; a program that nobody needs is well, one that did not come up when it was needed is not |
/// | anything else | a connection | that it is accepted |
struct InstanceProbe {
    by_path: HttpProbe<Client>,
    client: Client,
    balancer: Balancer<Endpoint>,
    questions: Questions,
}

impl InstanceProbe {
    fn new(questions: Questions, client: &Client, balancer: &Balancer<Endpoint>) -> Self {
        let path = questions.path.clone();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/health"));
        Self {
            by_path: HttpProbe::new(path, client.clone()),
            client: client.clone(),
            balancer: balancer.clone(),
            questions,
        }
    }
}

impl Probe for InstanceProbe {
    async fn probe(&self, target: &Target) -> ProbeResult {
        let scheme = target.uri.scheme();
        let is_http = scheme.is_some_and(|it| *it == Scheme::HTTP || *it == Scheme::HTTPS);
        let is_asked_by_path = target.health_url.is_some()
            || is_http && (self.questions.path.is_some() || !self.questions.speaks_mcp);
        if is_asked_by_path {
            return self.by_path.probe(target).await;
        }
        let endpoint = self.balancer.service(&target.id);
        match endpoint.as_deref().and_then(Endpoint::host) {
            Some(host) if is_http => session(host).await,
            Some(host) => program(host, self.questions.may_start).await,
            None if is_http => message(&self.client, target).await,
            None => TcpProbe.probe(target).await,
        }
    }
}

/// A `ping` that belongs to no session.
async fn message(client: &Client, target: &Target) -> ProbeResult {
    let request = Request::post(&target.uri)
        .header(CONTENT_TYPE, JSON)
        .header(ACCEPT, EITHER)
        .body(Full::from(PING));
    let request = match request {
        Ok(request) => request,
        Err(error) => return ProbeResult::dead(error),
    };
    match client.send(request).await {
        Ok(response) => verdict(response).await,
        Err(error) => ProbeResult::unreachable(error),
    }
}

/// A session that ends as soon as it has begun. It is nobody's but the probe's: a session that an
/// instance has lost says nothing about its health.
async fn session(host: &Host) -> ProbeResult {
    let Introduction {
        version,
        capabilities,
        info,
    } = Introduction::of_gateway();
    let id = "\"bartizan-probe\"";
    let begin = bridge::initialize_request(id, version, &capabilities, &info);
    let owner = Owner::default().0;
    let response = match host.call(posted(begin), owner).await {
        Ok(response) => response,
        Err(error) => return ProbeResult::unreachable(error),
    };
    if let Some(session) = response.headers().get(MCP_SESSION_ID) {
        let mut end = Request::new(Bytes::new());
        *end.method_mut() = Method::DELETE;
        end.headers_mut().insert(MCP_SESSION_ID, session.clone());
        // It ends in any case, at the latest when nobody has used it for a while.
        let _ = host.call(end, owner).await;
    }
    verdict(response).await
}

/// How long it is held against a program that it did not come up.
const LET_DOWN: Duration = Duration::from_secs(60);

/// A `ping` of a program that runs.
async fn program(host: &Host, may_start: bool) -> ProbeResult {
    match host.ping().await {
        Some(Ok(answer)) => judge(StatusCode::OK, is_message(&answer)),
        Some(Err(error)) => ProbeResult::unreachable(error),
        None if may_start => session(host).await,
        // It is started when it is needed, and has another chance after a while.
        None if host.failed_within(LET_DOWN) => {
            ProbeResult::unreachable("it did not come up when it was needed")
        }
        None => ProbeResult::Alive,
    }
}

fn posted(body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, JSON);
    request.headers_mut().insert(ACCEPT, EITHER);
    request
}

async fn verdict<B>(response: Response<B>) -> ProbeResult
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status();
    let says_a_message = has_message(response).await;
    judge(status, says_a_message)
}

/// What an answer to a message says of who gave it.
///
/// Any message of JSON-RPC is a sign of life, an error as much as a result: servers need not know
/// `ping`, and may want a session for it. So is a status that refuses the request and not the
/// place: 401 and 403 above all, from servers that want a credential.
fn judge(status: StatusCode, says_a_message: bool) -> ProbeResult {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => ProbeResult::dead("answered 503"),
        _ if says_a_message => ProbeResult::Alive,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => {
            ProbeResult::dead(format_args!("answered {}", status.as_u16()))
        }
        _ if status.is_client_error() => ProbeResult::Alive,
        _ => ProbeResult::dead(format_args!(
            "answered {} without a message of JSON-RPC",
            status.as_u16()
        )),
    }
}

/// Whether the body of an answer, or the beginning of a stream, has a message of JSON-RPC.
async fn has_message<B>(response: Response<B>) -> bool
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let is_stream = is_event_stream(&response);
    let mut body = pin!(Limited::new(response.into_body(), MAX_ANSWER));
    let mut events = Decoder::new(MAX_ANSWER);
    let mut whole = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if !is_stream {
            whole.extend_from_slice(&data);
            continue;
        }
        events.push(data);
        for event in events.by_ref() {
            if event.is_ok_and(|event| is_message(&event.data)) {
                return true;
            }
        }
    }
    is_message(&whole)
}

fn is_message(text: &[u8]) -> bool {
    Envelope::read(text).is_ok()
}

#[cfg(test)]
mod tests;

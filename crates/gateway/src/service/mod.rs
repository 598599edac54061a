//! One configured service: its state, and the stack of layers every call to it passes.

mod affinity;
mod assembly;
mod blame;
mod calls;
mod deadline;
mod definition;
mod endpoint;
mod failure;
mod hosting;
mod outbound;
mod policy;
mod prepare;
mod probing;
mod source;
mod stream;

use std::{path::Path, sync::Arc, time::Duration};

use bartizan_balance::{Balancer, EndpointSnapshot, Tried};
use bartizan_circuit_breaker::{CircuitBreaker, CircuitOpen, State};
use bartizan_classify::RequestClass;
use bartizan_clock::{Clock, Instant};
use bartizan_config::ServiceSettings;
use bartizan_discovery::Tool;
use bartizan_health::Checker;
use bartizan_rate_limit::{Priority, RateLimiter};
use bartizan_telemetry::{Reading, ServiceMetrics};
use bytes::Bytes;
use futures_util::future::{join, join_all};
use http::{HeaderValue, Method, Response, uri::PathAndQuery};
use parking_lot::Mutex;
use tower::ServiceExt;

pub use self::assembly::BuildError;
use self::{
    assembly::{Bypass, Stack, Tokens},
    definition::Definitions,
    endpoint::Endpoint,
    source::Following,
};
pub(crate) use self::{
    endpoint::Payload,
    failure::{Cause, Failure},
    hosting::Hosting,
    outbound::{Form, Outbound, Owner, Parts},
    stream::{Stream, StreamError},
};
use crate::{
    body::is_json,
    error::Error,
    ids,
    mcp::{Eras, Habits, Tools, all::Watch},
    operation::{InvalidOperation, backend_path, listed_path},
    registries::{Listing, Roster},
};

/// How long a token endpoint may take for a new refresh token when nobody calls any more: about
/// what callers would be kept waiting.
const SETTLING: Duration = Duration::from_secs(5);

/// How long the sources of instances may take for a look that somebody waits for: two answers of
/// an engine or a cluster, as long as these may take, and less than who asks waits.
const LOOKING: Duration = Duration::from_secs(40);

/// A service as the configuration describes it, with everything that outlives a call.
#[derive(Debug)]
pub(crate) struct Service {
    name: Arc<str>,
    /// What it was built from. Locked by who changes the configuration or looks at it.
    settings: Mutex<Arc<ServiceSettings>>,
    /// What registries say of it, if they list it.
    roster: Roster,
    /// Whether it is one program, by its configuration.
    is_program: bool,
    /// Whether nobody but its own instances knew of it when it was built.
    is_passing: bool,
    /// The path at an instance under which operations are.
    prefix: Box<str>,
    timeout: Duration,
    idempotent: Box<[wildmatch::WildMatch]>,
    definitions: Arc<Definitions>,
    breaker: CircuitBreaker,
    limiter: RateLimiter,
    balancer: Balancer<Endpoint>,
    tokens: Option<Tokens>,
    metrics: Arc<ServiceMetrics>,
    readings: Readings,
    stack: Stack,
    bypass: Bypass,
    /// Probes the instances for as long as the service is there.
    checker: Option<Arc<Checker>>,
    /// When all instances were last probed because somebody asked. Held meanwhile, so that all
    /// who ask at the same time wait for the same probes.
    probed: tokio::sync::Mutex<Option<Instant>>,
    /// Finds the instances, if they are not listed.
    source: Option<Following>,
    clock: Clock,
    id: u64,
    mcp: Option<Upstream>,
}

/// How much the metrics have of what the parts of a service count, which begin at zero in the one
/// that takes its place. Tokens, which outlive it, have readings of their own.
#[derive(Debug, Default)]
struct Readings {
    ejections: Reading,
    health_probes: [Reading; 2],
    health_transitions: [Reading; 2],
}

/// What is known of a service that speaks MCP.
#[derive(Debug)]
pub(crate) struct Upstream {
    eras: Eras,
    tools: Tools,
    habits: Habits,
    watch: Watch,
    stream_idle_timeout: Duration,
}

impl Upstream {
    pub(crate) fn eras(&self) -> &Eras {
        &self.eras
    }

    /// What is known of its tools.
    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What it asks its clients things about.
    pub(crate) fn habits(&self) -> &Habits {
        &self.habits
    }

    /// What is known of its lists.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// How long a stream of an answer may be silent.
    pub(crate) fn stream_idle_timeout(&self) -> Duration {
        self.stream_idle_timeout
    }
}

impl Service {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The same for the same name, in every process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// What is known of it as a server of MCP, if it is one.
    pub(crate) fn mcp(&self) -> Option<&Upstream> {
        self.mcp.as_ref()
    }

    /// Asks nobody any more how its instances are, or where: it gets no new calls, and somebody's
    /// stream may keep it for long. Calls under way go on, with what was known last.
    pub(crate) fn rest(&self) {
        // One that has not answered yet may be waited for.
        if let Some(source) = self.source.as_ref().filter(|it| it.has_answered()) {
            source.stop();
        }
        if let Some(checker) = &self.checker {
            checker.update([]);
        }
    }

    /// Has what finds its instances look now, if something does, and waits until it has.
    ///
    /// # Errors
    ///
    /// Why it found nothing, or not in time; what it said before stands.
    pub(crate) async fn look(&self) -> Result<(), String> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        let found = tokio::time::timeout(LOOKING, source.look()).await;
        let error = match found {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => "nothing was found in time".into(),
        };
        Err(format!("service {}: {error}", self.name))
    }

    /// Stops its processes, if it has any, and waits for them, and for a refresh token that is
    /// being replaced.
    pub(crate) async fn close(&self) {
        // Nobody waits for its first answer any more, which would have its instances probed.
        if let Some(source) = &self.source {
            source.stop();
        }
        self.rest();
        let endpoints = self.balancer.snapshot().into_iter();
        let endpoints = endpoints.filter_map(|it| self.balancer.service(&it.id));
        let hosts = endpoints.filter_map(|endpoint| endpoint.host().cloned());
        let stopped = join_all(hosts.map(|host| async move { host.close().await }));
        join(stopped, self.settle()).await;
        // Nobody measures a service any more that has another in its place.
        self.count();
    }

    async fn settle(&self) {
        if let Some(tokens) = &self.tokens {
            let _ = tokio::time::timeout(SETTLING, tokens.settled()).await;
        }
    }

    /// Whether it is a process, or has instances that are, which get messages without headers.
    pub(crate) fn is_process(&self) -> bool {
        self.is_program || self.roster.has_programs()
    }

    /// What registries say of it, if they list it.
    pub(crate) fn listing(&self) -> Option<Arc<Listing>> {
        self.roster.current()
    }

    /// Whether it is there because its instances registered themselves, and for nothing else.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.listing().is_some_and(|listing| listing.is_in_memory())
    }

    /// The instances that a registry lists with other tools than this one: each has what it is
    /// listed with. Among many, all are taken for equals.
    pub(crate) fn without(&self, tool: &str) -> Tried {
        let mut without = Tried::default();
        let listing = self.listing();
        let few = listing.filter(|it| it.entries.len() <= Tried::CAPACITY + 1);
        for entry in few.iter().flat_map(|listing| listing.entries.iter()) {
            let has = |tools: &Arc<[Tool]>| tools.iter().any(|it| &*it.name == tool);
            if !entry.tools.as_ref().is_none_or(has) {
                self.balancer.exclude(entry.instance.id(), &mut without);
            }
        }
        without
    }

    /// What it was built from, and goes on under.
    pub(crate) fn settings(&self) -> Arc<ServiceSettings> {
        Arc::clone(&self.settings.lock())
    }

    /// How its instances are doing, in the order in which they are listed.
    pub(crate) fn instances(&self) -> Vec<EndpointSnapshot> {
        self.balancer.snapshot()
    }

    /// How many instances get calls.
    pub(crate) fn usable_instances(&self) -> usize {
        let endpoints = self.balancer.snapshot();
        endpoints.iter().filter(|it| it.is_usable()).count()
    }

    /// The instance that a call of this key goes to. It had its turn, so that whoever sends a
    /// call in several messages sends them all there.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn choose(&self, key: u64) -> Result<Arc<str>, Error> {
        self.balancer
            .choose(Some(key))
            .map_err(|none| Error::NoInstances {
                service: Arc::clone(&self.name),
                retry_after: none.retry_after(),
            })
    }

    /// Where an instance is, for people.
    pub(crate) fn place(&self, id: &str) -> String {
        let listing = self.listing();
        let entry = listing.as_ref().and_then(|listing| listing.entry(id));
        entry.map_or_else(|| id.to_owned(), assembly::place)
    }

    /// What probes its instances, if they are probed.
    pub(crate) fn checker(&self) -> Option<&Checker> {
        self.checker.as_deref()
    }

    /// The path of an operation at its instances, if it is plain HTTP. What a registry lists may be
    /// called anything: its name is an operator's word.
    ///
    /// # Errors
    ///
    /// When the operation is none that could be a path.
    pub(crate) fn path(&self, operation: &str) -> Result<PathAndQuery, InvalidOperation> {
        backend_path(&self.prefix, operation).or_else(|invalid| {
            let listing = self.listing().ok_or(invalid)?;
            let is_listed = listing.tools().any(|tool| *tool.name == *operation);
            is_listed
                .then(|| listed_path(&self.prefix, operation))
                .ok_or(invalid)?
        })
    }

    /// Where it is, for people.
    pub(crate) fn endpoint(&self) -> String {
        assembly::text(&self.settings.lock(), self.listing().as_deref())
    }

    /// What no call may exceed, retries and waiting included.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    pub(crate) fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// Brings up to date what nobody counts in passing. `stale_files` are the registries that
    /// cannot be used now.
    pub(crate) fn measure(&self, stale_files: &[Arc<Path>]) {
        let metrics = &self.metrics;
        metrics
            .circuit_breaker_state
            .set(match self.breaker.state() {
                State::Closed => 0.0,
                State::HalfOpen => 1.0,
                State::Open => 2.0,
            });
        let limiter = self.limiter.snapshot();
        metrics.rate_limit_tokens.set(f64::from(limiter.tokens));
        metrics.rate_limit_waiting.set(limiter.waiting as f64);
        metrics.instances_usable.set(self.usable_instances() as f64);
        metrics.instances.set(self.balancer.len() as f64);
        let is_of_stale = |listing: Arc<Listing>| stale_files.contains(&listing.registry);
        let is_stale = self.source.as_ref().is_some_and(Following::is_stale)
            || self.listing().is_some_and(is_of_stale);
        metrics.instances_stale.set(f64::from(u8::from(is_stale)));
        self.count();
    }

    /// Has nothing be told of what the service is now that it is none any more.
    pub(crate) fn unmeasure(&self) {
        let metrics = &self.metrics;
        for gauge in [
            &metrics.circuit_breaker_state,
            &metrics.rate_limit_tokens,
            &metrics.rate_limit_waiting,
            &metrics.instances_usable,
            &metrics.instances,
            &metrics.instances_stale,
        ] {
            gauge.set(0.0);
        }
    }

    /// Brings the counters up to date that its parts count for themselves.
    pub(crate) fn count(&self) {
        let (metrics, readings) = (&self.metrics, &self.readings);
        let ejections = self.balancer.ejections();
        readings.ejections.take(ejections, &metrics.ejections);
        self.count_probes();
        if let Some(tokens) = &self.tokens {
            tokens.count(metrics);
        }
    }

    /// What a call of `operation` may suffer: by the operator's word, by an idempotency key
    /// that travels with it, or by the service's definition. Unknown means unsafe.
    pub(crate) fn class(&self, operation: &str, has_idempotency_key: bool) -> RequestClass {
        if has_idempotency_key || self.idempotent.iter().any(|glob| glob.matches(operation)) {
            return RequestClass::Idempotent;
        }
        self.definitions.class(operation).unwrap_or_default()
    }

    /// Sends a call through the whole stack.
    ///
    /// # Errors
    ///
    /// When no answer came, whoever was the cause. A backend's error response is an answer.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives everything back and closes the exchange with the backend.
    pub(crate) async fn call(&self, outbound: Outbound) -> Result<Response<Payload>, Failure> {
        let start = self.clock.now();
        if self.mcp.is_none() && self.definitions.claim(start) {
            self.learn_definition();
        }
        let mut call = self.metrics.call();
        if let Some(source) = &self.source
            && !source.has_answered()
        {
            // It has only begun to look, and instances will be there in a moment.
            // Boxed, since few calls wait and all would be as large.
            let first = tokio::time::timeout(outbound.deadline() - start, source.answer());
            let _ = Box::pin(first).await;
        }
        // Asked before the rate limit, too: waiting in its queue, and spending a token, only to
        // be refused helps nobody.
        let result = match self.breaker.retry_after() {
            Some(retry_after) => Err(Failure {
                cause: Cause::CircuitOpen(CircuitOpen { retry_after }),
                attempts: 1,
            }),
            None => self.stack.clone().oneshot(outbound).await,
        };
        call.finish(outcome(&result), self.clock.now() - start);
        match &result {
            Ok(response) if !response.status().is_server_error() => {}
            Ok(response) => self.suspect_endpoint(&response.body().endpoint),
            Err(failure) => self.suspect(failure),
        }
        result
    }

    /// The service's own definition, asked for outside breaker and limiter as it always was:
    /// it is how people look at a service that is in trouble.
    ///
    /// # Errors
    ///
    /// A text that says what the service answered instead.
    pub(crate) async fn fetch_definition(&self) -> Result<Bytes, String> {
        let result = self.bypass.clone().oneshot(self.definition_request()).await;
        let response = result.map_err(|failure| failure.to_string())?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(format!("Request failed with status code {status}"));
        }
        let body = response.into_body().bytes;
        if !is_json(&body) {
            return Err("the definition is not valid JSON".to_owned());
        }
        self.definitions.learn(&body, self.clock.now());
        Ok(body)
    }

    fn learn_definition(&self) {
        let (bypass, request) = (self.bypass.clone(), self.definition_request());
        let (definitions, clock) = (Arc::clone(&self.definitions), self.clock);
        tokio::spawn(async move {
            if let Ok(response) = bypass.oneshot(request).await
                && response.status().is_success()
            {
                definitions.learn(&response.into_body().bytes, clock.now());
            }
        });
    }

    fn definition_request(&self) -> Outbound {
        let trace = ids::new_trace();
        let id = ids::new_request_id();
        Outbound::new(Parts {
            method: Method::GET,
            path: PathAndQuery::from_static("/api/definition"),
            body: Bytes::new(),
            class: RequestClass::Safe,
            priority: Priority::Low,
            deadline: self.clock.now() + self.timeout,
            correlation_id: id.clone(),
            request_id: id,
            agent_id: None::<HeaderValue>,
            session: None,
            idempotency_key: None,
            trace,
            form: Form::Operation,
        })
    }
}

fn outcome(result: &Result<Response<Payload>, Failure>) -> bartizan_telemetry::CallOutcome {
    use bartizan_telemetry::CallOutcome;
    match result {
        Ok(response) if response.status().is_success() => CallOutcome::Success,
        Ok(response) if response.status().is_client_error() => CallOutcome::ClientError,
        Ok(_) => CallOutcome::ServerError,
        Err(failure) => match failure.cause {
            Cause::RateLimited(_) => CallOutcome::RateLimited,
            Cause::CircuitOpen(_) => CallOutcome::CircuitOpen,
            Cause::TimedOut { .. } | Cause::Deadline => CallOutcome::TimedOut,
            Cause::NoEndpoints(_) => CallOutcome::NoEndpoints,
            Cause::Token(_) => CallOutcome::Credential,
            Cause::Encoded { .. } => CallOutcome::ServerError,
            Cause::Exchange { .. } | Cause::Host { .. } | Cause::Internal => {
                CallOutcome::Unreachable
            }
        },
    }
}

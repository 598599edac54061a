//! From settings to a stack.

use std::sync::Arc;

use bartizan_auth::{
    Auth, AuthLayer, AuthorizationFile, Authorize, BrowserCommand, ClientAuth, Credential, Grant,
    Identity, InvalidAuthorize, InvalidCredential, InvalidOAuth2Config, LogAddress,
    LoopbackCallback, OAuth2Config, PrivateKey, RefreshTokenFile, Secret, SigningAlgorithm,
    TokenCache,
};
use bartizan_backoff::{Backoff, InvalidBackoff, Jitter};
use bartizan_balance::{Balance, Balancer, InvalidBalance, OutlierConfig, Strategy};
use bartizan_circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, CircuitBreakerService,
    InvalidConfig as InvalidBreaker, State, Transition,
};
use bartizan_classify::HttpClassifier;
use bartizan_client::Client;
use bartizan_clock::{Clock, Instant};
use bartizan_config::{
    AuthSettings, AuthorizeGrant, AuthorizeSettings, BackoffStrategy, CircuitBreakerSettings,
    ClientAuthentication, KeyAlgorithm, McpTransport, OAuth2Grant, OAuth2Settings, RetrySettings,
    ServiceSettings,
};
use bartizan_discovery::{Entry, Instance, Instances, InvalidInstance, Transport};
use bartizan_rate_limit::{
    InvalidQuota, Priority, Quota, RateLimit, RateLimitLayer, RateLimiter, Waiting,
};
use bartizan_retry::{InvalidRetry, Retry, RetryBudget, RetryConfig, RetryLayer};
use bartizan_telemetry::{Metrics, ServiceMetrics};
use http::{HeaderName, HeaderValue, Request, Uri};
use parking_lot::Mutex;
use thiserror::Error;
use tower_layer::Layer;

use super::{
    Outbound, Service, Upstream,
    affinity::Elsewhere,
    blame::Blame,
    deadline::Deadline,
    definition::Definitions,
    endpoint::Endpoint,
    failure::Flatten,
    hosting::{Hosting, Reached},
    policy::CallPolicy,
    prepare::Prepare,
    probing,
    source::{self, Found},
    stream::UntilStreamEnd,
};

use crate::{
    mcp::{Eras, Tools},
    plan::Plan,
    registries::{Listing, Roster},
};

/// Everything below the breaker: an HTTP request with its credential, at an instance.
type Exchange = Prepare<
    Auth<
        Balance<Endpoint, HttpClassifier, Elsewhere, UntilStreamEnd>,
        Client,
        fn(&Request<Outbound>) -> bool,
    >,
>;

/// What every call passes, from the outside in.
pub(super) type Stack = Retry<
    CallPolicy,
    Flatten<
        RateLimit<
            Deadline<CircuitBreakerService<Exchange, Blame>>,
            RateLimiter,
            fn(&Outbound) -> Priority,
            fn(&Outbound) -> Option<Instant>,
        >,
    >,
>;

/// What a look at a service's definition passes: no retry, no limit, no breaker.
pub(super) type Bypass = Deadline<Exchange>;

/// A service that cannot be built although its configuration was valid.
#[derive(Debug, Error)]
#[error("service {service}: {reason}")]
pub struct BuildError {
    service: String,
    #[source]
    reason: Reason,
}

#[derive(Debug, Error)]
pub(super) enum Reason {
    #[error(transparent)]
    Instance(#[from] InvalidInstance),
    #[error(transparent)]
    Quota(#[from] InvalidQuota),
    #[error(transparent)]
    Breaker(#[from] InvalidBreaker),
    #[error(transparent)]
    Retry(#[from] InvalidRetry),
    #[error(transparent)]
    Backoff(#[from] InvalidBackoff),
    #[error(transparent)]
    Credential(#[from] InvalidCredential),
    #[error(transparent)]
    OAuth2(#[from] InvalidOAuth2Config),
    #[error(transparent)]
    Authorize(#[from] InvalidAuthorize),
    #[error(transparent)]
    Balance(#[from] InvalidBalance),
    #[error(transparent)]
    Probes(#[from] probing::InvalidProbes),
    #[error(transparent)]
    Source(#[from] source::InvalidSource),
    #[error(transparent)]
    Uri(#[from] http::uri::InvalidUri),
}

impl Service {
    /// Assembles a service.
    ///
    /// # Errors
    ///
    /// When a setting is outside of what its layer can do.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, if the service is probed.
    pub(crate) fn new(
        plan: &Plan,
        client: &Client,
        hosting: &Hosting,
        metrics: &Metrics,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        assemble(plan, client, hosting, metrics, clock).map_err(|reason| BuildError {
            service: plan.settings.name.clone(),
            reason,
        })
    }

    /// Whether this plan takes no other stack: if the settings are what they were, or differ in
    /// the list of instances only.
    pub(crate) fn could_adopt(&self, plan: &Plan) -> bool {
        let own = self.settings.lock();
        if Arc::ptr_eq(&own, &plan.settings) || *own == plan.settings {
            return true;
        }
        if source::is_found(&own) {
            // An endpoint says where to look, or what all instances have in common.
            return false;
        }
        let moved = ServiceSettings {
            endpoints: plan.settings.endpoints.clone(),
            ..ServiceSettings::clone(&own)
        };
        moved == *plan.settings && instances(plan).is_ok()
    }

    /// Goes on as in a plan that it [could adopt](Service::could_adopt). Instances that stay
    /// keep their connections and what is known of them.
    pub(crate) fn adopt(&self, plan: Plan) {
        let mut own = self.settings.lock();
        let is_listed_anew = self.roster.current() != plan.listing;
        let moves = own.endpoints != plan.settings.endpoints || is_listed_anew;
        if is_listed_anew {
            self.roster.set(plan.listing.clone());
        }
        if moves && let Ok(instances) = instances(&plan) {
            self.balancer.update(&instances);
            if let Some(checker) = &self.checker {
                checker.update(self.balancer.targets());
            }
        }
        *own = plan.settings;
    }
}

fn assemble(
    plan: &Plan,
    client: &Client,
    hosting: &Hosting,
    metrics: &Metrics,
    clock: Clock,
) -> Result<Service, Reason> {
    let found = source::find(&plan.settings, client, clock)?;
    assemble_found(plan, found, client, hosting, metrics, clock)
}

/// Assembles a service whose instances are `found`, if they are not listed.
pub(super) fn assemble_found(
    plan: &Plan,
    found: Option<Found>,
    client: &Client,
    hosting: &Hosting,
    metrics: &Metrics,
    clock: Clock,
) -> Result<Service, Reason> {
    let settings = &*plan.settings;
    let name: Arc<str> = settings.name.as_str().into();
    let metrics = Arc::new(metrics.service(&name));
    let roster = Roster::new(plan.listing.clone());
    let reaching = found.as_ref().map(|found| found.client(client));
    let reaching = reaching.as_ref().unwrap_or(client);
    let reached = hosting.of(settings, &roster, reaching, clock);
    let balancer = balancer(plan, reaching, reached, clock)?;
    let limiter = RateLimiter::new(quota(settings)?, clock);
    let breaker = breaker(&settings.circuit_breaker, &name, &metrics, clock)?;
    let (credential, tokens) = credential(settings, client, clock)?;

    let may_repeat: fn(&Request<Outbound>) -> bool = match *settings.auth {
        // Services that ask for authorization do so before anything else, as RFC 9110, section
        // 15.5.2, has it: a request that they refuse has not been applied.
        AuthSettings::Authorize(_) => |_| true,
        _ => |request| request.body().parts().class.may_repeat(),
    };
    let auth = AuthLayer::new(credential)
        // Prepare starts from an empty map, so there is nothing of the caller's to strip.
        .strip([])
        .on_unauthorized(may_repeat);
    let balance = Balance::new(balancer.clone(), HttpClassifier::default())
        .affinity(Elsewhere)
        .track(UntilStreamEnd);
    let exchange = Prepare::new(auth.layer(balance), clock, fixed_headers(settings));

    let circuit = CircuitBreakerLayer::new(breaker.clone(), Blame::new(balancer.clone()));
    let attempt = Deadline::new(circuit.layer(exchange.clone()), clock);
    let priority: fn(&Outbound) -> Priority = Outbound::priority;
    let deadline: fn(&Outbound) -> Option<Instant> = |outbound| Some(outbound.deadline());
    let limit = RateLimitLayer::new(limiter.clone())
        .wait(Waiting {
            max_wait: *settings.rate_limit.max_wait,
            max_waiting: *settings.rate_limit.max_waiting as usize,
        })
        .priority(priority)
        .deadline(deadline);
    let policy = CallPolicy::new(clock, Arc::clone(&metrics), balancer.clone());
    let retry = retry_layer(&settings.retry, policy, clock)?;
    let checker = probing::checker(settings, reaching, &balancer, hosting.probes(), clock)?;
    let checker = checker.map(Arc::new);
    let source = found.map(|found| found.follow(&name, &balancer, checker.clone()));

    Ok(Service {
        id: bartizan_balance::hash_key(settings.name.as_bytes()),
        mcp: settings.kind.mcp().map(|mcp| Upstream {
            eras: Eras::default(),
            tools: Tools::new(*mcp.trust_annotations),
            stream_idle_timeout: *mcp.stream_idle_timeout,
        }),
        name,
        timeout: *settings.timeout,
        idempotent: settings
            .idempotent_operations
            .iter()
            .map(|glob| wildmatch::WildMatch::new(glob))
            .collect(),
        definitions: Arc::new(Definitions::new()),
        breaker,
        limiter,
        balancer,
        tokens,
        metrics,
        stack: retry.layer(Flatten(limit.layer(attempt))),
        bypass: Deadline::new(exchange, clock),
        checker,
        probed: tokio::sync::Mutex::default(),
        source,
        is_program: settings.kind.stdio().is_some(),
        prefix: settings
            .kind
            .rest()
            .map_or("/api/", |rest| rest.prefix.value())
            .into(),
        settings: Mutex::new(Arc::clone(&plan.settings)),
        roster,
        clock,
    })
}

/// The headers that the operator adds to every message.
fn fixed_headers(settings: &ServiceSettings) -> Arc<[(HeaderName, HeaderValue)]> {
    let headers = settings.kind.mcp().map_or(&[][..], |mcp| &mcp.headers);
    let sealed = headers.iter().filter_map(|(name, value)| {
        // The configuration has seen to it that each can be a header.
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        Some((name.clone(), value))
    });
    sealed.collect()
}

/// Where a service is, for people.
pub(super) fn text(settings: &ServiceSettings, listing: Option<&Listing>) -> String {
    if let Some(listing) = listing {
        let places = listing.entries.iter().map(place);
        return places.collect::<Vec<_>>().join(",");
    }
    if settings.kind.stdio().is_some() {
        return process_id(settings);
    }
    if let Some(text) = source::text(settings) {
        return text;
    }
    let endpoints: Vec<_> = settings
        .endpoints
        .iter()
        .map(bartizan_config::Endpoint::as_str)
        .collect();
    endpoints.join(",")
}

/// Where a listed instance is, for people: a program is where the gateway is.
pub(super) fn place(entry: &Entry) -> String {
    let instance = &entry.instance;
    match entry.transport {
        Transport::Stdio => format!("stdio://{}", instance.id()),
        _ => instance.uri().to_string().trim_end_matches('/').to_owned(),
    }
}

/// What the only instance of a service that is a program is called.
fn process_id(settings: &ServiceSettings) -> String {
    format!("stdio://{}", settings.name)
}

/// The instances that the configuration or registries list.
fn instances(plan: &Plan) -> Result<Instances, InvalidInstance> {
    let settings = &*plan.settings;
    if let Some(listing) = &plan.listing {
        if let Some(mcp) = settings.kind.mcp() {
            let speak_sse = *mcp.transport == McpTransport::Sse;
            let both = listing.entries.iter().zip(&*listing.instances);
            let placed = both.map(|(entry, instance)| placed(entry, instance, speak_sse));
            return placed.collect();
        }
        if !listing.has_programs() {
            return Ok(Arc::clone(&listing.instances));
        }
        let service = &*listing.name;
        tracing::warn!(
            service,
            "programs speak MCP, which this service does not: left out"
        );
        let both = listing.entries.iter().zip(&*listing.instances);
        let reached = both.filter(|(entry, _)| entry.transport != Transport::Stdio);
        return Ok(reached.map(|(_, instance)| instance.clone()).collect());
    }
    if settings.kind.stdio().is_some() {
        // Nobody connects to the address; it is no place that the client would go to.
        let process = Instance::new("stdio://localhost")?.with_id(process_id(settings))?;
        return Ok(Arc::new([process]));
    }
    if source::is_found(settings) {
        return Ok(Arc::new([]));
    }
    let endpoints = settings.endpoints.iter();
    endpoints
        .map(|endpoint| Instance::new(endpoint.as_str())?.with_weight(endpoint.weight().get()))
        .collect()
}

/// The fraction of the instances below which all are used, whatever is known of them. Envoy's half
/// is made for fleets; of the two to four instances that services have here, the last one that is
/// well is worth more than those that are known to fail.
const PANIC_THRESHOLD: f64 = 0.25;

/// A listed server of MCP where it takes messages: registries name hosts and ports, and mean the
/// path that every server has its own at.
fn placed(
    entry: &Entry,
    instance: &Instance,
    speak_sse: bool,
) -> Result<Instance, InvalidInstance> {
    let path = match entry.transport {
        Transport::Http if !speak_sse => "/mcp",
        Transport::Http | Transport::Sse => "/sse",
        _ => return Ok(instance.clone()),
    };
    if instance.uri().path() != "/" {
        return Ok(instance.clone());
    }
    let uri = instance.uri().to_string();
    let at = Instance::new(format!("{}{path}", uri.trim_end_matches('/')))?;
    let at = at.with_id(Arc::clone(instance.id()))?;
    let at = at.with_weight(instance.weight())?;
    let metadata = instance.metadata().iter();
    Ok(metadata.fold(at, |at, (key, value)| {
        at.with_metadata(Arc::clone(key), Arc::clone(value))
    }))
}

fn balancer(
    plan: &Plan,
    client: &Client,
    reached: Reached,
    clock: Clock,
) -> Result<Balancer<Endpoint>, Reason> {
    let (settings, instances) = (&*plan.settings, instances(plan)?);
    let strategy = match *settings.strategy {
        bartizan_config::Strategy::RoundRobin => Strategy::RoundRobin,
        bartizan_config::Strategy::Weighted => Strategy::WeightedRoundRobin,
        bartizan_config::Strategy::LeastConnections => Strategy::LeastConnections,
        bartizan_config::Strategy::HealthBased => Strategy::HealthBased,
        bartizan_config::Strategy::Random => Strategy::Random,
        bartizan_config::Strategy::P2c => Strategy::P2c,
        bartizan_config::Strategy::P2cEwma => Strategy::P2cPeakEwma,
        bartizan_config::Strategy::ConsistentHash => Strategy::ConsistentHash,
    };
    let (client, attempt_timeout) = (client.clone(), Some(*settings.attempt_timeout));
    let panic_threshold = if plan.listing.is_some() && settings.kind.rest().is_some() {
        // As documented, a backend that is unhealthy gets no calls, even where there is no other.
        0.0
    } else {
        PANIC_THRESHOLD
    };
    Ok(Balancer::builder(strategy, clock)
        .outlier(OutlierConfig::default())
        .panic_threshold(panic_threshold)
        .build(&instances, move |instance| {
            let host = reached.host(instance);
            Endpoint::new(instance, &client, host, attempt_timeout, clock)
        })?)
}

fn quota(settings: &ServiceSettings) -> Result<Quota, Reason> {
    let limit = &settings.rate_limit;
    Ok(Quota::per_minute(limit.requests_per_minute.get())
        .burst(limit.burst.get())
        .build()?)
}

fn breaker(
    settings: &CircuitBreakerSettings,
    service: &Arc<str>,
    metrics: &Arc<ServiceMetrics>,
    clock: Clock,
) -> Result<CircuitBreaker, Reason> {
    let mut builder = CircuitBreakerConfig::builder()
        .failure_threshold(Some(settings.failure_threshold.get()))
        .failure_ratio(None)
        .recovery_timeout(*settings.recovery_timeout)
        .half_open_max_calls(settings.half_open_max_calls.get());
    if let Some(ratio) = &settings.failure_ratio {
        builder = builder
            .failure_ratio(Some(ratio.ratio.as_f64()))
            .window(*ratio.window)
            .minimum_calls(ratio.min_calls.get());
    }
    let (service, metrics) = (Arc::clone(service), Arc::clone(metrics));
    let listener = move |transition: &Transition| {
        let [closed, half_open, open] = &metrics.circuit_breaker_transitions;
        match transition.to {
            State::Closed => closed,
            State::HalfOpen => half_open,
            State::Open => open,
        }
        .increment(1);
        tracing::info!(
            service = &*service,
            from = transition.from.as_str(),
            to = transition.to.as_str(),
            reason = transition.reason.as_str(),
            "circuit breaker changed state"
        );
    };
    Ok(CircuitBreaker::with_listener(
        builder.build()?,
        clock,
        Arc::new(listener),
    ))
}

fn retry_layer(
    settings: &RetrySettings,
    policy: CallPolicy,
    clock: Clock,
) -> Result<RetryLayer<CallPolicy>, Reason> {
    let initial = *settings.initial_delay;
    let builder = match *settings.strategy {
        BackoffStrategy::Linear => Backoff::linear(initial),
        BackoffStrategy::Exponential => Backoff::exponential(initial),
    };
    let jitter = if *settings.jitter {
        Jitter::Full
    } else {
        Jitter::None
    };
    let backoff = builder
        .max((*settings.max_delay).max(initial))
        .jitter(jitter)
        .build()?;
    let config = RetryConfig::builder()
        .max_attempts(settings.tries())
        .backoff(backoff)
        .build()?;
    let budget = RetryBudget::new(
        settings.budget_ratio.as_f64(),
        *settings.budget_min_per_second,
        clock,
        RetryBudget::DEFAULT_CAP,
    )?;
    Ok(RetryLayer::new(policy, config, Some(budget), clock))
}

type Tokens = Option<TokenCache<Client>>;

fn credential(
    service: &ServiceSettings,
    client: &Client,
    clock: Clock,
) -> Result<(Credential<Client>, Tokens), Reason> {
    let credential = match service.auth.value() {
        AuthSettings::None => Credential::None,
        AuthSettings::Bearer { token } => Credential::bearer(token)?,
        AuthSettings::ApiKey { key, place } => Credential::api_key(place.value().clone(), key)?,
        AuthSettings::Basic { username, password } => Credential::basic(username, password)?,
        AuthSettings::OAuth2(settings) => return oauth2(settings, client, clock),
        AuthSettings::Authorize(settings) => {
            // Instances of one service are one resource.
            let resource = service.endpoints.first().map_or("", |it| it.as_str());
            let authorize = authorize(settings, resource)?;
            let cache = TokenCache::authorize(authorize, client.clone(), clock);
            return Ok((Credential::oauth2(cache.clone()), Some(cache)));
        }
    };
    Ok((credential, None))
}

fn authorize(settings: &AuthorizeSettings, resource: &str) -> Result<Authorize, Reason> {
    let builder = match (*settings.grant, &settings.command) {
        (AuthorizeGrant::ClientCredentials, _) => Authorize::client_credentials(resource),
        (AuthorizeGrant::JwtBearer, _) => {
            // The configuration has seen to it that there is one.
            let path = settings.identity_token.as_ref();
            let path = path.map_or_else(Default::default, |path| path.value().clone());
            let mut identity = Identity::from_file(path);
            if let Some(provider) = &settings.identity_provider {
                let secret = provider.client_secret.as_ref();
                let secret = secret.map(|secret| secret.value().clone());
                let id = provider.client_id.value();
                identity = identity.exchanged_at(provider.url.as_str(), id, secret)?;
            }
            Authorize::identity(resource, identity)
        }
        (AuthorizeGrant::AuthorizationCode, command) => {
            let port = settings.callback_port.as_ref().map_or(0, |port| **port);
            let callback = LoopbackCallback::on_port(port);
            match command {
                Some(words) => {
                    let browser = BrowserCommand::new(words.iter())?;
                    Authorize::authorization_code(resource, callback, browser)
                }
                None => Authorize::authorization_code(resource, callback, LogAddress),
            }
        }
    };
    let mut builder = builder.scopes(settings.scopes.iter().flat_map(|it| it.iter()));
    if let Some(id) = &settings.client_id {
        builder = builder.client_id(id.value());
    }
    if let Some(secret) = &settings.client_secret {
        builder = builder.client_secret(secret.value().clone());
    }
    if let Some(pem) = &settings.private_key {
        let algorithm = match *settings.private_key_algorithm {
            KeyAlgorithm::Es256 => SigningAlgorithm::Es256,
            KeyAlgorithm::Es384 => SigningAlgorithm::Es384,
            KeyAlgorithm::EdDsa => SigningAlgorithm::EdDsa,
            KeyAlgorithm::Rs256 => SigningAlgorithm::Rs256,
            KeyAlgorithm::Ps256 => SigningAlgorithm::Ps256,
        };
        let key = PrivateKey::from_pem(pem, algorithm)?;
        builder = builder.private_key(match &settings.private_key_id {
            Some(id) => key.with_id(id.value()),
            None => key,
        });
    }
    if let Some(url) = &settings.client_metadata_url {
        builder = builder.client_metadata_url(url.value());
    }
    if let Some(issuer) = &settings.issuer {
        builder = builder.issuer(issuer.value());
    }
    if let Some(path) = &settings.store {
        builder = builder.store(AuthorizationFile::new(path.value()));
    }
    Ok(builder.build()?)
}

fn oauth2(
    settings: &OAuth2Settings,
    client: &Client,
    clock: Clock,
) -> Result<(Credential<Client>, Tokens), Reason> {
    let secret = |setting: &Option<bartizan_config::Setting<Secret>>| {
        setting.as_ref().map(|setting| setting.value().clone())
    };
    let access = secret(&settings.access_token);
    let refresh = secret(&settings.refresh_token);
    let (grant, url) = match (*settings.grant, refresh, &settings.token_url) {
        (OAuth2Grant::RefreshToken, Some(refresh), Some(url)) => {
            (Grant::RefreshToken { access, refresh }, url)
        }
        (OAuth2Grant::ClientCredentials, _, Some(url)) => (Grant::ClientCredentials, url),
        // The configuration gives every other combination the grant `static`, which has a token.
        _ => {
            let token = access.unwrap_or_else(|| Secret::new(""));
            return Ok((Credential::bearer(&token)?, None));
        }
    };
    let mut builder = OAuth2Config::builder(url.as_str().parse::<Uri>()?, grant)
        .allow_plain_http(*settings.token_url_allow_http)
        .client_auth(match *settings.client_authentication {
            ClientAuthentication::Basic => ClientAuth::Basic,
            ClientAuthentication::Body => ClientAuth::Body,
        });
    if let Some(id) = &settings.client_id {
        builder = builder.client_id(id.value());
    }
    if let Some(secret) = secret(&settings.client_secret) {
        builder = builder.client_secret(secret);
    }
    if let Some(scopes) = &settings.scopes {
        builder = builder.scopes(scopes.iter());
    }
    if let Some(audience) = &settings.audience {
        builder = builder.audience(audience.value());
    }
    if let Some(path) = &settings.refresh_token_store {
        builder = builder.refresh_token_store(RefreshTokenFile::new(path.value()));
    }
    let cache = TokenCache::new(builder.build()?, client.clone(), clock);
    Ok((Credential::oauth2(cache.clone()), Some(cache)))
}

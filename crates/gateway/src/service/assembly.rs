//! From settings to a stack.

mod credential;
mod instances;
mod layers;

use std::{collections::HashSet, sync::Arc};

use bartizan_auth::{Auth, AuthLayer, InvalidAuthorize, InvalidCredential, InvalidOAuth2Config};
use bartizan_backoff::InvalidBackoff;
use bartizan_balance::{Balance, InvalidBalance};
use bartizan_circuit_breaker::{
    CircuitBreakerLayer, CircuitBreakerService, InvalidConfig as InvalidBreaker,
};
use bartizan_client::Client;
use bartizan_clock::Instant;
use bartizan_config::{AuthSettings, ServiceSettings};
use bartizan_discovery::{Entry, InvalidInstance};
use bartizan_rate_limit::{
    InvalidQuota, Priority, RateLimit, RateLimitLayer, RateLimiter, Waiting,
};
use bartizan_retry::{InvalidRetry, Retry};
use http::{HeaderValue, Request};
use parking_lot::Mutex;
use thiserror::Error;
use tower_layer::Layer;

pub(super) use self::{
    credential::Tokens,
    instances::{place, text},
};
use self::{
    credential::credential,
    instances::instances,
    layers::{balancer, breaker, quota, retry_layer},
};
use super::{
    Outbound, Readings, Service, Upstream,
    affinity::Elsewhere,
    blame::{Blame, Judge},
    calls::Calls,
    deadline::Deadline,
    definition::Definitions,
    endpoint::Endpoint,
    failure::Flatten,
    hosting::Hosting,
    policy::CallPolicy,
    prepare::{Fixed, Prepare},
    probing,
    source::{self, Found},
    stream::UntilStreamEnd,
};
use crate::{
    mcp::{Eras, Habits, Tools, all::Watch},
    plan::Plan,
    registries::{Listing, Roster},
    shared::Lasting,
};

/// Everything below the breaker: an HTTP request with its credential, at an instance.
type Exchange = Prepare<
    Auth<
        Balance<Endpoint, Judge, Elsewhere, UntilStreamEnd>,
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
            Calls,
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
    /// Assembles a service, which may take the place of another.
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
        before: Option<&Self>,
        client: &Client,
        hosting: &Hosting,
        lasting: &Lasting,
    ) -> Result<Self, BuildError> {
        assemble(plan, before, client, hosting, lasting).map_err(|reason| BuildError {
            service: plan.settings.name.clone(),
            reason,
        })
    }

    /// Whether this plan takes no other stack: if the settings are what they were, or differ in
    /// the list of instances only, of which one at least is spoken to as before.
    pub(crate) fn could_adopt(&self, plan: &Plan) -> bool {
        let (own, other) = (self.roster.current(), plan.listing.as_ref());
        if self.mcp.is_some()
            && let (Some(own), Some(other)) = (own, other)
            && !other.entries.is_empty()
            && other.entries.iter().all(|it| speaks_otherwise(&own, it))
        {
            return false;
        }
        if self.is_passing && !plan.is_passing() {
            // Its metrics are those of services that come and go.
            return false;
        }
        let own = self.settings.lock();
        if Arc::ptr_eq(&own, &plan.settings) || *own == plan.settings {
            return true;
        }
        // An endpoint says where to look, or what all instances have in common; or tokens are for it.
        if source::is_found(&own) || !credential::is_same_resource(&own, &plan.settings) {
            return false;
        }
        let moved = ServiceSettings {
            endpoints: plan.settings.endpoints.clone(),
            ..ServiceSettings::clone(&own)
        };
        moved == *plan.settings && instances(plan).is_ok()
    }

    /// The instances that are spoken to in another way at the same place, which a balancer takes for
    /// the same endpoints.
    fn spoken_to_otherwise(&self, plan: &Plan) -> HashSet<Arc<str>> {
        let (Some(own), Some(other)) = (self.roster.current(), &plan.listing) else {
            return HashSet::new();
        };
        if self.mcp.is_none() || Arc::ptr_eq(&own, other) {
            return HashSet::new();
        }
        let found = other.entries.iter().filter(|it| speaks_otherwise(&own, it));
        found.map(|it| Arc::clone(it.instance.id())).collect()
    }

    /// Begins with the instances that were found for another, where both are looked for alike: what
    /// knows them may be out of reach now, and its last answer counts until there is another.
    pub(crate) fn begin_with_instances_of(&self, before: &Self) {
        let (own, other) = (self.settings(), before.settings());
        let alike = own.instances == other.instances && own.endpoints == other.endpoints;
        // What the source has said by now is newer.
        if source::is_found(&own)
            && alike
            && self.balancer.seed(&before.balancer.instances())
            && let Some(checker) = &self.checker
        {
            checker.update(self.balancer.targets());
        }
    }

    /// Goes on as in a plan that it [could adopt](Service::could_adopt). Instances that stay
    /// keep their connections and what is known of them. Whether any came, went or changed.
    pub(crate) fn adopt(&self, plan: Plan) -> bool {
        let otherwise = self.spoken_to_otherwise(&plan);
        let mut own = self.settings.lock();
        let is_listed_anew = self.roster.current() != plan.listing;
        let moves = own.endpoints != plan.settings.endpoints || is_listed_anew;
        if is_listed_anew {
            self.roster.set(plan.listing.clone());
        }
        if moves && let Ok(instances) = instances(&plan) {
            if !otherwise.is_empty() {
                // They go and come again.
                let others = instances.iter().filter(|it| !otherwise.contains(it.id()));
                self.balancer.update(&others.cloned().collect::<Vec<_>>());
            }
            self.balancer.update(&instances);
            if let Some(checker) = &self.checker {
                checker.update(self.balancer.targets());
            }
        }
        *own = plan.settings;
        moves
    }
}

/// Whether an instance stays where it was before, and is spoken to in another way.
fn speaks_otherwise(before: &Listing, entry: &Entry) -> bool {
    before.entry(entry.instance.id()).is_some_and(|before| {
        before.instance.uri() == entry.instance.uri() && before.transport != entry.transport
    })
}

fn assemble(
    plan: &Plan,
    before: Option<&Service>,
    client: &Client,
    hosting: &Hosting,
    lasting: &Lasting,
) -> Result<Service, Reason> {
    let found = source::find(&plan.settings, client, lasting.clock())?;
    assemble_found(plan, before, found, client, hosting, lasting)
}

/// Assembles a service whose instances are `found`, if they are not listed.
pub(super) fn assemble_found(
    plan: &Plan,
    before: Option<&Service>,
    found: Option<Found>,
    client: &Client,
    hosting: &Hosting,
    lasting: &Lasting,
) -> Result<Service, Reason> {
    let (settings, clock) = (&*plan.settings, lasting.clock());
    let name: Arc<str> = settings.name.as_str().into();
    let metrics = if plan.is_passing() {
        lasting.metrics().of_passing()
    } else {
        lasting.metrics().clone()
    };
    let metrics = metrics.service(&name);
    let roster = Roster::new(plan.listing.clone());
    let reaching = found.as_ref().map(|found| found.client(client));
    let reaching = reaching.as_ref().unwrap_or(client);
    let reached = hosting.of(settings, &roster, reaching, clock);
    let balancer = balancer(plan, reaching, reached, clock)?;
    let limiter = RateLimiter::new(quota(settings)?, clock);
    let breaker = breaker(&settings.circuit_breaker, &name, &metrics, clock)?;
    let (credential, tokens) = credential(settings, before, client, clock)?;

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
    let balance = Balance::new(balancer.clone(), Judge::default())
        .affinity(Elsewhere)
        .track(UntilStreamEnd);
    let exchange = Prepare::new(
        auth.layer(balance),
        clock,
        lasting.pseudonym().clone(),
        fixed(settings),
    );

    let circuit = CircuitBreakerLayer::new(breaker.clone(), Blame::new(balancer.clone()));
    let attempt = Deadline::new(circuit.layer(exchange.clone()), clock);
    let priority: fn(&Outbound) -> Priority = Outbound::priority;
    let deadline: fn(&Outbound) -> Option<Instant> = |outbound| Some(outbound.deadline());
    let limit = RateLimitLayer::with(Calls(limiter.clone()))
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
            habits: Habits::default(),
            watch: Watch::default(),
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
        readings: Readings::default(),
        stack: retry.layer(Flatten(limit.layer(attempt))),
        bypass: Deadline::new(exchange, clock),
        checker,
        probed: tokio::sync::Mutex::default(),
        source,
        is_program: settings.kind.stdio().is_some(),
        is_passing: plan.is_passing(),
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

/// What the operator adds to every message.
fn fixed(settings: &ServiceSettings) -> Fixed {
    let Some(mcp) = settings.kind.mcp() else {
        return Fixed::default();
    };
    // The configuration has seen to it that each can be sent.
    let sealed = mcp.headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        Some((name.clone(), value))
    });
    let query = mcp.query.as_ref();
    Fixed {
        headers: sealed.collect(),
        target: query.and_then(|query| format!("/?{}", query.expose()).try_into().ok()),
    }
}

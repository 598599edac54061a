use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bartizan_balance::EndpointSnapshot;
use bartizan_clock::Instant;
use bartizan_config::{Configuration, InstanceSettings};
use bartizan_discovery::{Balancing, Entry};
use bartizan_health::{Checker, HealthState};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::shapes::{
    BalancerStats, CheckerStats, Live, LoadBalancer, RegistryStats, Source, StrategyStats,
    Template, TemplateStats,
};
use crate::{
    front::strategy_name,
    registries::{self, Listing, Shown},
    retiring::Probed,
    service::Service,
    shared::Shared,
    works::Works,
};

/// How everything is doing at one moment.
pub(super) struct Figures {
    shared: Arc<Shared>,
    configuration: Arc<Configuration>,
    sources: Vec<registries::Source>,
    /// What the probes came to of services that are gone.
    probed_before: Probed,
    /// The services that registries list.
    listed: Vec<Listed>,
    now: Instant,
    wall: SystemTime,
    uptime: Duration,
}

struct Listed {
    service: Arc<Service>,
    listing: Arc<Listing>,
    endpoints: Vec<EndpointSnapshot>,
}

impl Figures {
    pub(super) fn take(works: &Works) -> Self {
        // First, so that one that is leaving is not counted twice.
        let probed_before = works.lasting().retiring().probed();
        let shared = works.current().load();
        let services = shared.catalog().services().iter();
        let listed = services.filter_map(|service| {
            Some(Listed {
                listing: service.listing()?,
                endpoints: service.instances(),
                service: Arc::clone(service),
            })
        });
        Self {
            probed_before,
            listed: listed.collect(),
            configuration: works.configuration(),
            sources: works.registries().sources(),
            now: shared.clock().now(),
            wall: shared.clock().wall(),
            uptime: works.lasting().uptime(),
            shared,
        }
    }

    pub(super) fn uptime_seconds(&self) -> f64 {
        seconds(self.uptime)
    }

    /// What holds where nothing else is said.
    pub(super) fn defaults(&self) -> &InstanceSettings {
        &self.configuration.gateway.instances
    }

    /// Calls sent to the instances of all services.
    pub(super) fn total_requests(&self) -> u64 {
        let services = self.shared.catalog().services().iter();
        services
            .flat_map(|service| service.instances())
            .map(|endpoint| endpoint.requests)
            .sum()
    }

    pub(super) fn registry(&self) -> RegistryStats {
        let templates = self.listed.iter().map(|it| {
            let stats = TemplateStats {
                total_instances: it.endpoints.len(),
                healthy_instances: it.endpoints.iter().filter(|it| it.is_usable()).count(),
                load_balancer_strategy: strategy_name(*it.service.settings().strategy),
                requests_per_instance: requests(&it.endpoints).collect(),
            };
            (it.listing.name.to_string(), stats)
        });
        let templates: BTreeMap<_, _> = templates.collect();
        let total_instances = templates.values().map(|it| it.total_instances).sum();
        let healthy_instances = templates.values().map(|it| it.healthy_instances).sum();
        RegistryStats {
            total_templates: templates.len(),
            total_instances,
            healthy_instances,
            unhealthy_instances: total_instances - healthy_instances,
            templates,
            sources: self.sources.iter().map(source).collect(),
        }
    }

    pub(super) fn checker(&self) -> CheckerStats {
        let mut probed = self.probed_before;
        for service in self.shared.catalog().services() {
            probed.add(service);
        }
        let Probed {
            succeeded,
            failed,
            last,
        } = probed;
        let total = succeeded + failed;
        let defaults = self.defaults();
        CheckerStats {
            running: true,
            check_interval: seconds(*defaults.health_interval),
            timeout: seconds(*defaults.health_timeout),
            max_concurrent_checks: defaults.max_concurrent_checks.get(),
            total_checks: total,
            successful_checks: succeeded,
            failed_checks: failed,
            success_rate_percent: match total {
                0 => 0.0,
                _ => hundredths(100.0 * succeeded as f64 / total as f64),
            },
            last_check_time: last.map(|at| self.date(at)),
            uptime_seconds: self.uptime_seconds(),
        }
    }

    pub(super) fn balancer(&self) -> BalancerStats {
        let mut requests_per_instance: BTreeMap<String, u64> = BTreeMap::new();
        let mut users: HashMap<&str, usize> = HashMap::new();
        for it in &self.listed {
            *users
                .entry(strategy_name(*it.service.settings().strategy))
                .or_default() += 1;
            for (id, count) in requests(&it.endpoints) {
                *requests_per_instance.entry(id).or_default() += count;
            }
        }
        let strategies = Balancing::STRATEGIES.into_iter().map(|name| {
            let stats = StrategyStats {
                name,
                kind: format!("{}Strategy", camel(name)),
                templates: users.get(name).copied().unwrap_or_default(),
            };
            (name, stats)
        });
        BalancerStats {
            default_strategy: strategy_name(*self.defaults().strategy),
            available_strategies: Balancing::STRATEGIES.to_vec(),
            total_requests: requests_per_instance.values().sum(),
            requests_per_instance,
            strategy_stats: strategies.collect(),
        }
    }

    /// Every template with its instances.
    pub(super) fn templates(&self) -> impl Iterator<Item = (String, Template)> {
        self.listed.iter().map(|it| {
            let settings = it.service.settings();
            let balancing = it.listing.balancing.as_ref();
            let interval = settings.health.as_ref().map(|it| seconds(*it.interval));
            let states = it.service.checker().map(Checker::states);
            let states = states.unwrap_or_default().into_iter();
            let states: HashMap<_, _> = states.map(|(target, it)| (target.id, it)).collect();
            let endpoints = it.endpoints.iter().map(|it| (&*it.id, it));
            let endpoints: HashMap<_, _> = endpoints.collect();
            let instances = it.listing.entries.iter().map(|entry| {
                let id = &**entry.instance.id();
                let (endpoint, state) = (endpoints.get(id).copied(), states.get(id));
                self.instance(&it.listing.name, entry, endpoint, state)
            });
            let template = Template {
                instances: instances.collect(),
                load_balancer: LoadBalancer {
                    strategy: strategy_name(*settings.strategy),
                    health_check_interval: interval,
                    max_retries: *settings.retry.max_attempts,
                    pool_size: balancing.and_then(|it| it.pool_size),
                    timeout: seconds(*settings.timeout),
                },
                registry: it.listing.registry.display().to_string(),
                metadata: registries::metadata(&it.listing.metadata),
            };
            (it.listing.name.to_string(), template)
        })
    }

    fn instance(
        &self,
        template: &str,
        entry: &Entry,
        endpoint: Option<&EndpointSnapshot>,
        state: Option<&HealthState>,
    ) -> Shown {
        let mut shown = registries::shown(entry);
        let mut say = |name: &str, value: Box<RawValue>| shown.insert(name.to_owned(), value);
        say("template_name", raw(&template));
        let health = endpoint.map(|it| it.health).unwrap_or_default();
        let summary = state.map(HealthState::summary).unwrap_or_default();
        say("status", raw(&health.to_string()));
        let last = summary.last_probe.map(|at| self.date(at));
        say("last_health_check", raw(&last));
        say("consecutive_failures", raw(&summary.consecutive_failures));
        if let Some(endpoint) = endpoint {
            let live = Live {
                usable: endpoint.is_usable(),
                requests: endpoint.requests,
                failures: endpoint.failures,
                in_flight: endpoint.in_flight,
                health_score: endpoint.score,
                ejected_for_seconds: endpoint.ejected_for.map(seconds),
                reason: summary.reason.as_deref().map(str::to_owned),
            };
            say("live", raw(&live));
        }
        shown
    }

    fn date(&self, at: Instant) -> String {
        humantime::format_rfc3339_millis(self.wall - (self.now - at)).to_string()
    }
}

fn requests(endpoints: &[EndpointSnapshot]) -> impl Iterator<Item = (String, u64)> {
    let endpoints = endpoints.iter();
    endpoints.map(|endpoint| (endpoint.id.to_string(), endpoint.requests))
}

fn source(source: &registries::Source) -> Source {
    let state = &source.state;
    let warnings = state.registry.warnings.iter();
    // Whoever reads it need not be in the directory that the gateway was started in.
    let whole = |path: &Arc<Path>| {
        let whole = std::path::absolute(path);
        whole.unwrap_or_else(|_| path.to_path_buf())
    };
    Source {
        path: source
            .path
            .as_ref()
            .map(|it| whole(it).display().to_string()),
        stale: state.stale,
        error: state.error.as_deref().map(str::to_owned),
        version: state.version,
        templates: state.registry.services.len(),
        instances: state.registry.instance_count(),
        warnings: warnings.map(ToString::to_string).collect(),
    }
}

/// `round_robin` as `RoundRobin`.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in name.split('_') {
        let (first, rest) = word.split_at(word.len().min(1));
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    // Plain values always have a form in JSON.
    to_raw_value(value).unwrap_or_default()
}

//! What is asked and answered at `/gateway/*`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{ToSchema, openapi::schema::Object};

use crate::front::docs::words;

/// The answer of `GET /gateway/health`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GatewayHealth)]
pub(crate) struct Health {
    /// `healthy`; `degraded` if an instance gets no calls or a registry cannot be read;
    /// `unhealthy` if no instance gets calls.
    #[schema(schema_with = status)]
    pub(crate) status: &'static str,
    /// How long the gateway has been running, in seconds.
    pub(crate) uptime_seconds: f64,
    /// Calls sent to the instances that there are now, repeats included.
    pub(crate) total_requests: u64,
    /// How much there is in all registries.
    pub(crate) registry_stats: RegistryStats,
    /// What probes did so far.
    pub(crate) health_checker_stats: CheckerStats,
    /// Where calls went.
    pub(crate) load_balancer_stats: BalancerStats,
}

/// The answer of `GET /gateway/stats`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GatewayStatistics)]
pub(crate) struct Stats {
    /// The gateway as a whole.
    pub(crate) gateway: GatewayStats,
    /// How much there is in all registries.
    pub(crate) registry: RegistryStats,
    /// What probes did so far.
    pub(crate) health_checker: CheckerStats,
    /// Where calls went.
    pub(crate) load_balancer: BalancerStats,
}

/// The gateway as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GatewayStats {
    /// How long it has been running.
    pub(crate) uptime_seconds: f64,
    /// Calls sent to the instances of all services, repeats included.
    pub(crate) total_requests: u64,
    /// How long a call may take where nothing else is said, in seconds.
    pub(crate) request_timeout: f64,
    /// How many more instances a failed call is sent to where nothing else is said.
    pub(crate) max_retries: u32,
}

/// How much there is in all registries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegistryStats {
    /// Templates and namespaces.
    pub(crate) total_templates: usize,
    /// The instances of all of them.
    pub(crate) total_instances: usize,
    /// Those that get calls.
    pub(crate) healthy_instances: usize,
    /// Those that get none.
    pub(crate) unhealthy_instances: usize,
    /// Each template by its name.
    pub(crate) templates: BTreeMap<String, TemplateStats>,
    /// How each registry is doing.
    pub(crate) sources: Vec<Source>,
}

/// How much there is of one template.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TemplateStats {
    /// Its instances.
    pub(crate) total_instances: usize,
    /// Those that get calls.
    pub(crate) healthy_instances: usize,
    /// How an instance is chosen.
    pub(crate) load_balancer_strategy: &'static str,
    /// Calls sent to each instance by its id.
    pub(crate) requests_per_instance: BTreeMap<String, u64>,
}

/// How one registry is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegistrySource)]
pub(crate) struct Source {
    /// Its file; null for the instances that are kept in memory.
    pub(crate) path: Option<String>,
    /// Whether what is known of it is old, because it cannot be read now.
    pub(crate) stale: bool,
    /// Why it cannot be read, with line and column.
    pub(crate) error: Option<String>,
    /// Grows with every change.
    pub(crate) version: u64,
    /// Services that it lists.
    pub(crate) templates: usize,
    /// Instances that it lists.
    pub(crate) instances: usize,
    /// What is odd about it and no reason to refuse it.
    pub(crate) warnings: Vec<String>,
}

/// What probes did so far.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckerStats {
    /// Whether instances are probed.
    pub(crate) running: bool,
    /// From one probe to the next where nothing else is said, in seconds.
    pub(crate) check_interval: f64,
    /// How long a probe may take, in seconds.
    pub(crate) timeout: f64,
    /// How many probes may be under way at once.
    pub(crate) max_concurrent_checks: u32,
    /// Probes that have ended since the gateway started, those of services that are gone included.
    pub(crate) total_checks: u64,
    /// Those that found an instance alive.
    pub(crate) successful_checks: u64,
    /// Those that did not.
    pub(crate) failed_checks: u64,
    /// The part that found an instance alive; 0 if there was no probe yet.
    pub(crate) success_rate_percent: f64,
    /// When the last probe ended, as RFC 3339 has it.
    pub(crate) last_check_time: Option<String>,
    /// How long probes have been made.
    pub(crate) uptime_seconds: f64,
}

/// Where calls went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BalancerStats {
    /// How an instance is chosen where nothing else is said.
    pub(crate) default_strategy: &'static str,
    /// All ways in which one can be chosen.
    pub(crate) available_strategies: Vec<&'static str>,
    /// Calls sent to all instances of registries, repeats included.
    pub(crate) total_requests: u64,
    /// The same by the ids of the instances; two of one id are added up.
    pub(crate) requests_per_instance: BTreeMap<String, u64>,
    /// Each way by its name.
    pub(crate) strategy_stats: BTreeMap<&'static str, StrategyStats>,
}

/// One way in which an instance is chosen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StrategyStats {
    /// Its name.
    pub(crate) name: &'static str,
    /// The same name in another form.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// How many templates use it.
    pub(crate) templates: usize,
}

/// The answer of `GET /gateway/registry`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegistryContents)]
pub(crate) struct Registry {
    /// Each template by its name.
    pub(crate) templates: BTreeMap<String, Template>,
    /// How much there is.
    pub(crate) stats: RegistryStats,
}

/// One template.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Template {
    /// Its instances as their registry has them, with their health as it is now. Values of
    /// variables and of other secrets are not shown.
    #[schema(value_type = Vec<Instance>)]
    pub(crate) instances: Vec<BTreeMap<String, Box<RawValue>>>,
    /// How calls are spread over them.
    pub(crate) load_balancer: LoadBalancer,
    /// The registry that lists it.
    pub(crate) registry: String,
    /// Everything else that the registry says of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Value>)]
    pub(crate) metadata: BTreeMap<String, Box<RawValue>>,
}

/// One instance, for the OpenAPI document: what its registry has of it is passed on as it is, and
/// this is there besides.
#[derive(ToSchema)]
#[schema(as = RegistryInstance)]
#[expect(dead_code, reason = "described, never made")]
pub(crate) struct Instance {
    /// Its id.
    id: String,
    /// The template that it belongs to.
    template_name: String,
    /// What probes found.
    #[schema(example = "healthy")]
    status: String,
    /// When the last probe ended.
    #[schema(format = DateTime, required = true)]
    last_health_check: Option<String>,
    /// Probes in a row that did not find it alive.
    consecutive_failures: u32,
    /// How it is doing now, if calls can be sent to it.
    #[schema(nullable = false)]
    live: Option<Live>,
}

/// How calls of one template are spread over its instances.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TemplateBalancing)]
pub(crate) struct LoadBalancer {
    /// How an instance is chosen.
    pub(crate) strategy: &'static str,
    /// From one probe to the next, in seconds; null if there are none.
    pub(crate) health_check_interval: Option<f64>,
    /// How many more instances a failed call is sent to.
    pub(crate) max_retries: u32,
    /// Kept from the registry; connections are pooled as they are needed.
    pub(crate) pool_size: Option<u32>,
    /// How long a call may take in all, in seconds.
    pub(crate) timeout: f64,
}

/// How one instance is doing now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceLive)]
pub(crate) struct Live {
    /// Whether it gets calls.
    pub(crate) usable: bool,
    /// Calls that were sent to it.
    pub(crate) requests: u64,
    /// Those of them that failed.
    pub(crate) failures: u64,
    /// Calls under way.
    pub(crate) in_flight: u64,
    /// How its calls went of late, from 0 to 100.
    pub(crate) health_score: u8,
    /// How long it will still be left alone because calls failed, in seconds.
    pub(crate) ejected_for_seconds: Option<f64>,
    /// What the last probe found, if that was bad.
    pub(crate) reason: Option<String>,
}

/// The body of `POST /gateway/register`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InstanceRegistration)]
pub(crate) struct Registration {
    /// The template that the instance belongs to; it is made if need be.
    pub(crate) template_name: String,
    /// The instance as a `registry.json` has it: an `endpoint` or a `command`, and perhaps `id`,
    /// `transport`, `working_dir`, `env_vars`, `health_url`, `weight`, `metadata` and others.
    #[schema(value_type = Object)]
    pub(crate) instance: Box<RawValue>,
    /// How many seconds it stays without being heard of; for good without.
    #[serde(default)]
    pub(crate) ttl: Option<f64>,
}

/// The answer of `POST /gateway/register`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceRegistered)]
pub(crate) struct Registered {
    /// Always true.
    pub(crate) success: bool,
    /// What was done.
    pub(crate) message: String,
    /// The id of the instance.
    pub(crate) instance_id: String,
    /// The template that it belongs to.
    pub(crate) template_name: String,
    /// Whether it took the place of one with its id.
    pub(crate) replaced: bool,
    /// How many seconds it stays without being heard of; null if for good.
    pub(crate) ttl: Option<f64>,
    /// What is odd about it, such as fields that mean nothing here.
    pub(crate) warnings: Vec<String>,
}

/// The answer of `DELETE /gateway/deregister/{template}/{instance_id}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceDeregistered)]
pub(crate) struct Deregistered {
    /// Always true.
    pub(crate) success: bool,
    /// What was done.
    pub(crate) message: String,
    /// The id of the instance.
    pub(crate) instance_id: String,
    /// The template that it belonged to.
    pub(crate) template_name: String,
}

/// The answer of `POST /gateway/sync`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Synced {
    /// How much there was.
    pub(crate) before: Totals,
    /// How much there is.
    pub(crate) after: Totals,
    /// Instances that are new, as `template/id`.
    pub(crate) added: Vec<String>,
    /// Instances that are gone, as `template/id`.
    pub(crate) removed: Vec<String>,
    /// Why names, engines or clusters found nothing, if some did; what they said before stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) warnings: Vec<String>,
    /// Why a registry could not be used; what it said before stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) detail: Option<String>,
}

/// How much there is in all registries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegistryTotals)]
pub(crate) struct Totals {
    /// Templates and namespaces.
    pub(crate) templates: usize,
    /// The instances of all of them.
    pub(crate) instances: usize,
    /// Those that get calls.
    pub(crate) healthy_instances: usize,
}

/// The answer of `POST /gateway/reload`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reloaded {
    /// Always true.
    pub(crate) success: bool,
    /// What was done.
    pub(crate) message: String,
    /// Services that were not there before.
    pub(crate) added: Vec<String>,
    /// Services that are not there any more.
    pub(crate) removed: Vec<String>,
    /// Services that began anew under other settings.
    pub(crate) changed: Vec<String>,
    /// Services that go on with all that is known of them, at other instances.
    pub(crate) moved: Vec<String>,
    /// Services that go on as they were.
    pub(crate) unchanged: Vec<String>,
    /// Whether another certificate is shown from here on.
    pub(crate) other_certificate: bool,
    /// What has changed and does not count before a restart.
    pub(crate) needs_restart: Vec<&'static str>,
}

fn status() -> Object {
    words(["healthy", "degraded", "unhealthy"])
}

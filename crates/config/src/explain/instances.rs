use super::Rows;
use crate::{InstanceSettings, InstanceSource, RegistrySettings, ServiceSettings};

/// Where the instances of a service are, on one line.
pub(crate) fn endpoints(service: &ServiceSettings) -> String {
    let texts: Vec<_> = service.endpoints.iter().map(ToString::to_string).collect();
    let listed = texts.join(", ");
    match &service.instances {
        InstanceSource::Listed => listed,
        InstanceSource::Registered => "those of the registry".to_owned(),
        InstanceSource::Dns { .. } => format!("all addresses of {listed}"),
        InstanceSource::Srv { .. } => format!("the SRV records of {listed}"),
        InstanceSource::Kubernetes(settings) => {
            format!("those of the Kubernetes Service {}", *settings.service)
        }
        InstanceSource::Docker(settings) => {
            format!("containers labelled bartizan.service={}", *settings.service)
        }
    }
}

/// How they are found, if they are not listed.
pub(super) fn service_rows(rows: &mut Rows, source: &InstanceSource) {
    const DISCOVERY: &str = "discovery";
    const EVERY: &str = "looked for every";

    match source {
        InstanceSource::Listed | InstanceSource::Registered => {}
        InstanceSource::Dns { interval } | InstanceSource::Srv { interval } => {
            rows.time(DISCOVERY, EVERY, interval);
        }
        InstanceSource::Kubernetes(settings) => {
            rows.shown(DISCOVERY, "API server", &settings.api_server);
            if let Some(namespace) = &settings.namespace {
                rows.shown(DISCOVERY, "namespace", namespace);
            }
            rows.shown(DISCOVERY, "Service", &settings.service);
            if let Some(port) = &settings.port {
                rows.shown(DISCOVERY, "port", port);
            }
        }
        InstanceSource::Docker(settings) => {
            rows.add(DISCOVERY, "engine", &settings.socket, |path| {
                path.display().to_string()
            });
            rows.shown(DISCOVERY, "label", &settings.service);
            if let Some(network) = &settings.network {
                rows.shown(DISCOVERY, "network", network);
            }
            rows.time(DISCOVERY, EVERY, &settings.interval);
        }
    }
}

/// What holds for services that registries list, as far as it counts.
pub(super) fn gateway_rows(
    rows: &mut Rows,
    instances: &InstanceSettings,
    registries: &[RegistrySettings],
) {
    const REGISTRY: &str = "registry";

    for registry in registries {
        rows.add(REGISTRY, registry.format.as_str(), &registry.path, |path| {
            path.display().to_string()
        });
    }
    if let Some(registry) = registries.first() {
        rows.time(REGISTRY, "looked at every", &registry.poll_interval);
        rows.time(
            REGISTRY,
            "servers probed every",
            &instances.rest_health_interval,
        );
        rows.time(
            REGISTRY,
            "instances probed every",
            &instances.health_interval,
        );
        rows.time(REGISTRY, "probe timeout", &instances.health_timeout);
        rows.shown(REGISTRY, "strategy", &instances.strategy);
        rows.shown(REGISTRY, "retries", &instances.max_retries);
        rows.time(REGISTRY, "timeout", &instances.request_timeout);
    }
    // Those of configured services as well, and of what registers itself without a file.
    rows.shown(REGISTRY, "probes at once", &instances.max_concurrent_checks);
    rows.add(REGISTRY, "programs", &instances.allowed_commands, |all| {
        if all.is_empty() {
            "none may be registered".to_owned()
        } else {
            all.join(", ")
        }
    });
}

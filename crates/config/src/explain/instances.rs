use super::Rows;
use crate::{InstanceSettings, RegistrySettings};

/// What holds for services that registries list, if there are any.
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
    let Some(registry) = registries.first() else {
        return;
    };
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
    rows.shown(REGISTRY, "probes at once", &instances.max_concurrent_checks);
    rows.shown(REGISTRY, "strategy", &instances.strategy);
    rows.shown(REGISTRY, "retries", &instances.max_retries);
    rows.time(REGISTRY, "timeout", &instances.request_timeout);
    rows.add(REGISTRY, "programs", &instances.allowed_commands, |all| {
        if all.is_empty() {
            "none may be registered".to_owned()
        } else {
            all.join(", ")
        }
    });
}

//! The fixed configuration of development.

use crate::{Origin, Source, reader::Scope, table, variable::Section};

const ORIGIN: Origin = Origin::Default("the development configuration");

/// The documented development configuration, verbatim.
const VALUES: [(&str, &str); 35] = [
    ("MCP_GATEWAY_URL", "http://localhost:8080"),
    ("MCP_DEFAULT_TIMEOUT", "30000"),
    ("MCP_RETRY_MAX_ATTEMPTS", "3"),
    ("MCP_RETRY_STRATEGY", "exponential"),
    ("MCP_RETRY_INITIAL_DELAY", "1000"),
    ("MCP_RETRY_MAX_DELAY", "10000"),
    ("MCP_RETRY_JITTER", "true"),
    (
        "MCP_SERVICES",
        "user-service,transaction-service,product-service",
    ),
    ("MCP_SERVICE_USER_SERVICE_ENDPOINT", "http://localhost:8081"),
    ("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "bearer"),
    ("MCP_SERVICE_USER_SERVICE_TOKEN", "dev-user-token"),
    ("MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM", "100"),
    ("MCP_SERVICE_USER_SERVICE_RATE_LIMIT_BURST", "20"),
    ("MCP_SERVICE_USER_SERVICE_TIMEOUT", "30000"),
    ("MCP_SERVICE_USER_SERVICE_CB_FAILURE_THRESHOLD", "5"),
    ("MCP_SERVICE_USER_SERVICE_CB_RECOVERY_TIMEOUT", "30000"),
    ("MCP_SERVICE_USER_SERVICE_CB_HALF_OPEN_MAX_CALLS", "3"),
    (
        "MCP_SERVICE_TRANSACTION_SERVICE_ENDPOINT",
        "http://localhost:8082",
    ),
    ("MCP_SERVICE_TRANSACTION_SERVICE_AUTH_TYPE", "api-key"),
    (
        "MCP_SERVICE_TRANSACTION_SERVICE_API_KEY",
        "dev-transaction-key",
    ),
    ("MCP_SERVICE_TRANSACTION_SERVICE_RATE_LIMIT_RPM", "200"),
    ("MCP_SERVICE_TRANSACTION_SERVICE_RATE_LIMIT_BURST", "50"),
    ("MCP_SERVICE_TRANSACTION_SERVICE_TIMEOUT", "15000"),
    ("MCP_SERVICE_TRANSACTION_SERVICE_CB_FAILURE_THRESHOLD", "3"),
    (
        "MCP_SERVICE_TRANSACTION_SERVICE_CB_RECOVERY_TIMEOUT",
        "20000",
    ),
    (
        "MCP_SERVICE_TRANSACTION_SERVICE_CB_HALF_OPEN_MAX_CALLS",
        "2",
    ),
    (
        "MCP_SERVICE_PRODUCT_SERVICE_ENDPOINT",
        "http://localhost:8083",
    ),
    ("MCP_SERVICE_PRODUCT_SERVICE_AUTH_TYPE", "bearer"),
    ("MCP_SERVICE_PRODUCT_SERVICE_TOKEN", "dev-product-token"),
    ("MCP_SERVICE_PRODUCT_SERVICE_RATE_LIMIT_RPM", "150"),
    ("MCP_SERVICE_PRODUCT_SERVICE_RATE_LIMIT_BURST", "30"),
    ("MCP_SERVICE_PRODUCT_SERVICE_TIMEOUT", "25000"),
    ("MCP_SERVICE_PRODUCT_SERVICE_CB_FAILURE_THRESHOLD", "4"),
    ("MCP_SERVICE_PRODUCT_SERVICE_CB_RECOVERY_TIMEOUT", "25000"),
    ("MCP_SERVICE_PRODUCT_SERVICE_CB_HALF_OPEN_MAX_CALLS", "3"),
];

/// `source` with everything about services of variables, retries, gateway URL and default timeout replaced,
/// and the names of what was replaced. How the process listens and logs stays as it is.
pub(crate) fn replace(mut source: Source) -> (Source, Vec<String>) {
    // Files of servers were asked for by name.
    let servers = source.servers().iter().map(|(name, _)| &**name);
    let listed = source.listed().iter();
    let listed = listed.flat_map(|(it, _)| it.services().map(|service| &*service.name));
    let kept: Vec<_> = servers
        .chain(listed)
        .map(|name| format!("MCP_SERVICE_{}_", Scope::service(name).prefix()))
        .collect();
    let is_kept = |name: &str| kept.iter().any(|prefix| name.starts_with(prefix));
    let mut replaced = source.remove(|name| {
        name.starts_with("MCP_SERVICE_") && !is_kept(name)
            || [
                &table::GATEWAY_URL,
                &table::DEFAULT_TIMEOUT,
                &table::SERVICES,
            ]
            .iter()
            .any(|variable| variable.name == name)
            || table::variables()
                .iter()
                .any(|variable| variable.section == Section::Retry && variable.name == name)
    });
    for (name, value) in VALUES {
        source.insert(name, value, ORIGIN.clone());
    }
    let services = replaced.extract_if(.., |name| name.starts_with("MCP_SERVICE_"));
    if services.count() > 0 {
        replaced.push("MCP_SERVICE_*".to_owned());
    }
    (source, replaced)
}

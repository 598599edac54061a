use std::{collections::BTreeMap, net::SocketAddr};

use super::{Demo, issuer::CLIENT_ID};

impl Demo {
    /// The environment that a gateway at `address` is configured by, and nothing of the
    /// process's own. It holds the secret of the demo's issuer.
    pub(crate) fn variables(&self, address: SocketAddr) -> BTreeMap<String, String> {
        let backends = &self.addresses;
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: String| {
            variables.insert(name.to_owned(), value);
        };
        set("MCP_GATEWAY_HOST", address.ip().to_string());
        set("MCP_GATEWAY_PORT", address.port().to_string());
        set(
            "MCP_SERVICES",
            "inventory,weather,payments,phoenix".to_owned(),
        );
        for (name, backend) in [
            ("INVENTORY", backends.inventory),
            ("WEATHER", backends.weather),
            ("PAYMENTS", backends.payments),
            ("PHOENIX", backends.phoenix),
        ] {
            set(
                &format!("MCP_SERVICE_{name}_ENDPOINT"),
                format!("http://{backend}"),
            );
            set(&format!("MCP_SERVICE_{name}_AUTH_TYPE"), "none".to_owned());
            // Generous, so that nobody who plays waits in a queue.
            set(
                &format!("MCP_SERVICE_{name}_RATE_LIMIT_RPM"),
                "6000".to_owned(),
            );
            set(
                &format!("MCP_SERVICE_{name}_RATE_LIMIT_BURST"),
                "100".to_owned(),
            );
            set(&format!("MCP_SERVICE_{name}_TIMEOUT"), "5000".to_owned());
        }
        // Short delays, because somebody is watching.
        set("MCP_RETRY_MAX_ATTEMPTS", "2".to_owned());
        set("MCP_RETRY_STRATEGY", "exponential".to_owned());
        set("MCP_RETRY_INITIAL_DELAY", "100".to_owned());
        set("MCP_RETRY_MAX_DELAY", "1000".to_owned());
        set("MCP_RETRY_JITTER", "true".to_owned());
        // The operator's word; inventory and phoenix are believed by their definitions.
        set(
            "MCP_SERVICE_WEATHER_IDEMPOTENT_OPERATIONS",
            "get*".to_owned(),
        );
        set("MCP_SERVICE_PAYMENTS_AUTH_TYPE", "oauth2".to_owned());
        set(
            "MCP_SERVICE_PAYMENTS_TOKEN_URL",
            format!("http://{}/token", backends.issuer),
        );
        set("MCP_SERVICE_PAYMENTS_CLIENT_ID", CLIENT_ID.to_owned());
        set(
            "MCP_SERVICE_PAYMENTS_CLIENT_SECRET",
            self.issuer.client_secret().to_owned(),
        );
        // One call opens it with its three attempts, one good call closes it.
        set("MCP_SERVICE_PHOENIX_CB_FAILURE_THRESHOLD", "3".to_owned());
        set("MCP_SERVICE_PHOENIX_CB_RECOVERY_TIMEOUT", "3000".to_owned());
        set("MCP_SERVICE_PHOENIX_CB_HALF_OPEN_MAX_CALLS", "1".to_owned());
        variables
    }
}

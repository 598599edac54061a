use http::StatusCode;
use metrics::{Counter, Gauge};

use super::{Series, table};

/// Handles to the metrics of the gateway itself.
#[derive(Clone, Debug)]
pub struct GatewayMetrics {
    /// Open connections of callers.
    pub connections: Gauge,
    /// One counter a class of statuses, 1xx to 5xx.
    requests: [Counter; 5],
}

impl GatewayMetrics {
    pub(super) fn new(series: &Series, version: &str) -> Self {
        series
            .gauge(&table::BUILD, &[("version", version)])
            .set(1.0);
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        Self {
            connections: series.gauge(&table::CONNECTIONS, &[]),
            requests: classes.map(|class| series.counter(&table::REQUESTS, &[("class", class)])),
        }
    }

    /// Counts an answered request.
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5);
        self.requests[class - 1].increment(1);
    }
}

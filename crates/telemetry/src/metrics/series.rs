use std::fmt;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use super::table::{self, Family};

/// Series that come and go together: those of the gateway, or those of one service.
///
/// An exporter forgets single series only by how long nobody has counted in them, and what is
/// counted with a handle to one that it forgot is lost. Each service has an exporter of its own
/// instead, which goes with it.
pub(super) struct Series(PrometheusRecorder);

impl Series {
    pub(super) fn new() -> Self {
        // Setting buckets fails for an empty list only.
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), table::SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        Self(builder.build_recorder())
    }

    pub(super) fn counter(&self, family: &Family, labels: &[(&'static str, &str)]) -> Counter {
        self.0.register_counter(&key(family, labels), &METADATA)
    }

    pub(super) fn gauge(&self, family: &Family, labels: &[(&'static str, &str)]) -> Gauge {
        self.0.register_gauge(&key(family, labels), &METADATA)
    }

    pub(super) fn histogram(&self, family: &Family, labels: &[(&'static str, &str)]) -> Histogram {
        self.0.register_histogram(&key(family, labels), &METADATA)
    }

    /// All of them in Prometheus' text format, without a word of help: a paragraph for each family.
    pub(super) fn render(&self) -> String {
        self.0.handle().render()
    }

    pub(super) fn upkeep(&self) {
        self.0.handle().run_upkeep();
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").finish_non_exhaustive()
    }
}

const METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn key(family: &Family, labels: &[(&'static str, &str)]) -> Key {
    // The exporter takes a backslash before another, or before a quote, for one that escapes it:
    // two names would be one label.
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, value.replace('\\', r"\\")))
        .collect();
    Key::from_parts(family.name, labels)
}

//! Prometheus metrics through held handles.

mod gateway;
mod reading;
mod service;
mod table;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use self::table::{Family, Kind};
pub use self::{
    gateway::GatewayMetrics,
    reading::Reading,
    service::{Call, CallOutcome, ServiceMetrics},
    table::reference_markdown,
};

/// A registry of metrics, and the page that shows them.
///
/// A value, not a global: two gateways in one process, or two tests, do not share counts.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    /// The services that have metrics of their own.
    services: Arc<Mutex<Services>>,
    /// Whether services are taken for passing.
    passing: bool,
}

#[derive(Debug, Default)]
struct Services {
    /// Whether each is a passing one.
    names: HashMap<Box<str>, bool>,
    passing: usize,
}

/// How many services have metrics of their own. There is no way to forget a series, and services
/// may come and go for as long as the process runs.
const MAX_SERVICES: usize = 2_048;
/// How many of them may be passing ones, whose names are had for the asking.
const MAX_PASSING: usize = 512;

/// The label of the others. A service of that name is one of them.
const OTHERS: &str = "(others)";

impl Metrics {
    /// A registry with every family of [`reference_markdown`] described and none counted.
    #[must_use]
    pub fn new() -> Self {
        // Setting buckets fails for an empty list only.
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), table::SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        for family in table::FAMILIES {
            let describe = match family.kind {
                Kind::Counter => PrometheusRecorder::describe_counter,
                Kind::Gauge => PrometheusRecorder::describe_gauge,
                Kind::Histogram => PrometheusRecorder::describe_histogram,
            };
            describe(&recorder, family.name.into(), None, family.help.into());
        }
        Self {
            recorder: Arc::new(recorder),
            handle,
            services: Arc::default(),
            passing: false,
        }
    }

    /// The same registry for services that come and go, such as those that registered themselves:
    /// only the first 512 have metrics of their own, so that their names leave room for those that
    /// an operator chose.
    #[must_use]
    pub fn of_passing(&self) -> Self {
        Self {
            passing: true,
            ..self.clone()
        }
    }

    /// The metrics of a service: at zero the first time, and the same ones every time after.
    ///
    /// The name becomes a label, of which the first 128 characters count. A registry never
    /// forgets a service: those after the first 2,048 share the counts of `(others)`, and have no
    /// gauges of what each of them is.
    #[must_use]
    pub fn service(&self, name: &str) -> ServiceMetrics {
        /// Longer than any name that a configuration accepts.
        const MAX_LABEL: usize = 128;

        let end = name.char_indices().nth(MAX_LABEL).map(|(end, _)| end);
        let name = end.map_or(name, |end| &name[..end]);
        ServiceMetrics::new(
            self,
            if self.has_room_for(name) {
                name
            } else {
                OTHERS
            },
        )
    }

    fn has_room_for(&self, service: &str) -> bool {
        if service == OTHERS {
            return false;
        }
        let services = self.services.lock();
        let mut services = services.unwrap_or_else(PoisonError::into_inner);
        services.admit(service, self.passing)
    }

    /// The metrics of the gateway itself, all at zero.
    #[must_use]
    pub fn gateway(&self, version: &'static str) -> GatewayMetrics {
        GatewayMetrics::new(self, version)
    }

    /// The page for `/metrics`, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Moves recorded durations into their buckets. Call it every few seconds: what is recorded
    /// between two calls, or two pages, is kept one by one.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn counter(&self, family: &Family, labels: &[(&'static str, &str)]) -> Counter {
        let counter = self
            .recorder
            .register_counter(&key(family, labels), &METADATA);
        counter.increment(0);
        counter
    }

    fn gauge(&self, family: &Family, labels: &[(&'static str, &str)]) -> Gauge {
        let gauge = self
            .recorder
            .register_gauge(&key(family, labels), &METADATA);
        // Makes it appear, but does not reset what others count with a handle of their own.
        gauge.increment(0.0);
        gauge
    }

    fn histogram(&self, family: &Family, labels: &[(&'static str, &str)]) -> Histogram {
        self.recorder
            .register_histogram(&key(family, labels), &METADATA)
    }
}

impl Services {
    /// Whether a service has metrics of its own, now or from now on.
    fn admit(&mut self, name: &str, passing: bool) -> bool {
        if let Some(was_passing) = self.names.get_mut(name) {
            // Who chose it now keeps it, and it is none of the others' any more.
            if *was_passing && !passing {
                *was_passing = false;
                self.passing -= 1;
            }
            return true;
        }
        let is_full = self.names.len() == MAX_SERVICES;
        if is_full || passing && self.passing == MAX_PASSING {
            return false;
        }
        self.passing += usize::from(passing);
        self.names.insert(name.into(), passing);
        true
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

const METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn key(family: &Family, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect();
    Key::from_parts(family.name, labels)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_family_of_the_reference_is_on_the_page() {
        let metrics = Metrics::new();
        let service = metrics.service("s");
        let _gateway = metrics.gateway("1.2.3");
        service
            .call()
            .finish(CallOutcome::Success, Duration::from_millis(7));
        let page = metrics.render();
        for family in table::FAMILIES {
            assert!(
                page.contains(&format!("# HELP {} ", family.name)),
                "{}\n{page}",
                family.name
            );
            assert!(
                page.contains(&format!("# TYPE {} ", family.name)),
                "{}",
                family.name
            );
        }
    }

    #[test]
    fn asking_again_resets_nothing() {
        let metrics = Metrics::new();
        let first = metrics.service("s");
        let call = first.call();
        let second = metrics.service("s");
        let page = metrics.render();
        assert!(
            page.contains(r#"bartizan_service_in_flight{service="s"} 1"#),
            "{page}"
        );
        drop((call, second));
        let page = metrics.render();
        assert!(
            page.contains(r#"bartizan_service_in_flight{service="s"} 0"#),
            "{page}"
        );
    }

    #[test]
    fn a_long_name_is_a_bounded_label() {
        let metrics = Metrics::new();
        metrics
            .service(&"\u{e9}".repeat(100_000))
            .retries
            .increment(1);
        let label = format!("service=\"{}\"", "\u{e9}".repeat(128));
        assert!(metrics.render().contains(&label));
    }

    #[test]
    fn two_threads_count_everything() {
        let metrics = Metrics::new();
        let service = metrics.service("s");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut call = service.call();
                        call.finish(CallOutcome::Success, Duration::from_millis(1));
                    }
                });
            }
            metrics.upkeep();
        });
        let page = metrics.render();
        for line in [
            r#"bartizan_service_calls_total{service="s",outcome="success"} 20000"#,
            r#"bartizan_service_in_flight{service="s"} 0"#,
            r#"bartizan_service_call_duration_seconds_count{service="s"} 20000"#,
        ] {
            assert!(page.contains(line), "{page}");
        }
    }

    #[test]
    fn registries_do_not_share_counts() {
        let (one, two) = (Metrics::new(), Metrics::new());
        one.service("s").retries.increment(3);
        let _ = two.service("s");
        assert!(
            one.render()
                .contains(r#"bartizan_retries_total{service="s"} 3"#)
        );
        assert!(
            two.render()
                .contains(r#"bartizan_retries_total{service="s"} 0"#)
        );
    }

    #[test]
    fn a_hostile_name_stays_a_label() {
        let metrics = Metrics::new();
        metrics.service("a\"b\nc\\").retries.increment(1);
        let page = metrics.render();
        assert!(
            page.contains(r#"bartizan_retries_total{service="a\"b\nc\\"} 1"#),
            "{page}"
        );
    }

    #[test]
    fn a_call_counts_as_what_it_became() {
        let metrics = Metrics::new();
        let service = metrics.service("s");
        let mut call = service.call();
        let in_flight = |n| format!(r#"bartizan_service_in_flight{{service="s"}} {n}"#);
        assert!(metrics.render().contains(&in_flight(1)));
        call.finish(CallOutcome::TimedOut, Duration::from_secs(1));
        drop(call);
        drop(service.call());
        let page = metrics.render();
        assert!(page.contains(&in_flight(0)), "{page}");
        for outcome in ["timed_out", "cancelled"] {
            let line =
                format!(r#"bartizan_service_calls_total{{service="s",outcome="{outcome}"}} 1"#);
            assert!(page.contains(&line), "{page}");
        }
        assert!(
            page.contains("bartizan_service_call_duration_seconds_count{service=\"s\"} 1"),
            "{page}"
        );
    }

    #[test]
    fn services_without_end_share_their_metrics() {
        let metrics = Metrics::new();
        let first = metrics.service("service-0");
        for n in 0..2 * MAX_SERVICES {
            let _ = metrics.service(&format!("service-{n}"));
        }
        let page = metrics.render();
        let named = |name: &str| page.matches(&format!("service=\"{name}\"")).count();
        // All but the gauges of what a single service is.
        assert_eq!(named("(others)") + 6, named("service-0"));
        assert_eq!(named(&format!("service-{MAX_SERVICES}")), 0);
        // Who was there first comes back to what is its own.
        metrics.service("service-0").retries.increment(1);
        drop(first);
        assert!(metrics.render().contains("service=\"service-0\"} 1"));
    }

    #[test]
    fn nobody_is_called_what_the_others_are() {
        let metrics = Metrics::new();
        let service = metrics.service("(others)");
        service.retries.increment(1);
        service.circuit_breaker_state.set(2.0);
        let page = metrics.render();
        assert!(page.contains("bartizan_retries_total{service=\"(others)\"} 1"));
        assert!(!page.contains("bartizan_circuit_breaker_state{"), "{page}");
    }

    #[test]
    fn names_that_come_and_go_leave_room_for_others() {
        let metrics = Metrics::new();
        let passing = metrics.of_passing();
        for n in 0..=MAX_SERVICES {
            let _ = passing.service(&format!("passing-{n}"));
        }
        metrics.service("chosen").retries.increment(1);
        let page = metrics.render();
        assert!(page.contains("bartizan_retries_total{service=\"chosen\"} 1"));
        let last = |n: usize| page.contains(&format!("service=\"passing-{n}\""));
        assert!(last(MAX_PASSING - 1) && !last(MAX_PASSING));
        // One that is chosen later makes room for another.
        let _ = metrics.service("passing-0");
        passing.service("late").retries.increment(2);
        passing.service("later").retries.increment(3);
        let page = metrics.render();
        for line in ["\"late\"} 2", "\"(others)\"} 3"] {
            let line = format!("bartizan_retries_total{{service={line}");
            assert!(page.contains(&line), "{line}");
        }
    }
}

//! Prometheus metrics through held handles.

mod gateway;
mod reading;
mod series;
mod service;
mod table;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use metrics_exporter_prometheus::formatting::write_help_line;

use self::series::Series;
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
    /// Those of the gateway itself.
    own: Arc<Series>,
    /// Locked when one is asked for, and to say which there are.
    services: Arc<Mutex<Services>>,
    /// Whether services are taken for passing.
    passing: bool,
}

/// The metrics of services, each for as long as somebody holds them.
#[derive(Debug, Default)]
struct Services {
    named: BTreeMap<Box<str>, Named>,
    others: Weak<ServiceMetrics>,
}

#[derive(Debug)]
struct Named {
    metrics: Weak<ServiceMetrics>,
    /// Whether it is a passing one.
    passing: bool,
}

/// How many services have metrics of their own at a time.
const MAX_SERVICES: usize = 2_048;
/// How many of them may be passing ones, whose names are had for the asking.
const MAX_PASSING: usize = 512;

/// The label of the others. A service of that name is one of them.
const OTHERS: &str = "(others)";

impl Metrics {
    /// A registry that counts nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            own: Arc::new(Series::new()),
            services: Arc::default(),
            passing: false,
        }
    }

    /// The same registry for services that come and go, such as those that registered themselves:
    /// no more than 512 have metrics of their own, so that their names leave room for those that
    /// an operator chose.
    #[must_use]
    pub fn of_passing(&self) -> Self {
        Self {
            passing: true,
            ..self.clone()
        }
    }

    /// The metrics of a service: the same ones for as long as anybody holds them, and at zero the
    /// first time after that. They are on the page for as long.
    ///
    /// The name becomes a label, of which the first 128 characters count. While there are 2,048
    /// services, those that come share the counts of `(others)`, and have no gauges of what each of
    /// them is.
    #[must_use]
    pub fn service(&self, name: &str) -> Arc<ServiceMetrics> {
        /// Longer than any name that a configuration accepts.
        const MAX_LABEL: usize = 128;

        let end = name.char_indices().nth(MAX_LABEL).map(|(end, _)| end);
        let name = end.map_or(name, |end| &name[..end]);
        let services = self.services.lock();
        let mut services = services.unwrap_or_else(PoisonError::into_inner);
        services.service(name, self.passing)
    }

    /// The metrics of the gateway itself, all at zero.
    #[must_use]
    pub fn gateway(&self, version: &'static str) -> GatewayMetrics {
        GatewayMetrics::new(&self.own, version)
    }

    /// The page for `/metrics`, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let services = self.services();
        let services = services.iter().map(|service| service.series().render());
        let pages: Vec<_> = std::iter::once(self.own.render()).chain(services).collect();
        // The lines of each family, which are to stand together, below what they have in common.
        let mut families: HashMap<_, (_, Vec<_>)> = HashMap::new();
        for paragraph in pages.iter().flat_map(|page| page.split("\n\n")) {
            let Some((kind, lines)) = paragraph.split_once('\n') else {
                continue;
            };
            let name = kind.split(' ').nth(2).unwrap_or_default();
            let (_, family) = families.entry(name).or_insert_with(|| (kind, Vec::new()));
            family.push(lines);
        }
        let mut page = String::with_capacity(pages.iter().map(String::len).sum());
        for family in table::FAMILIES {
            if let Some((kind, lines)) = families.get(family.name) {
                write_help_line(&mut page, family.name, None, None, family.help);
                for part in std::iter::once(kind).chain(lines) {
                    page.push_str(part);
                    page.push('\n');
                }
                page.push('\n');
            }
        }
        page
    }

    /// Moves recorded durations into their buckets. Call it every few seconds: what is recorded
    /// between two calls, or two pages, is kept one by one.
    pub fn upkeep(&self) {
        for service in self.services() {
            service.series().upkeep();
        }
    }

    /// Those of all services that there are.
    fn services(&self) -> Vec<Arc<ServiceMetrics>> {
        let services = self.services.lock();
        let services = services.unwrap_or_else(PoisonError::into_inner);
        let named = services.named.values().map(|named| &named.metrics);
        let all = named.chain([&services.others]);
        all.filter_map(Weak::upgrade).collect()
    }
}

impl Services {
    fn service(&mut self, name: &str, passing: bool) -> Arc<ServiceMetrics> {
        if let Some(named) = self.named.get_mut(name)
            && let Some(metrics) = named.metrics.upgrade()
        {
            // Who chose it now keeps it.
            named.passing &= passing;
            return metrics;
        }
        self.named.retain(|_, it| it.metrics.strong_count() > 0);
        let all_passing = || self.named.values().filter(|it| it.passing).count();
        if name == OTHERS
            || self.named.len() == MAX_SERVICES
            || passing && all_passing() == MAX_PASSING
        {
            return self.others();
        }
        let metrics = Arc::new(ServiceMetrics::new(name));
        let named = Named {
            metrics: Arc::downgrade(&metrics),
            passing,
        };
        self.named.insert(name.into(), named);
        metrics
    }

    fn others(&mut self) -> Arc<ServiceMetrics> {
        self.others.upgrade().unwrap_or_else(|| {
            let metrics = Arc::new(ServiceMetrics::new(OTHERS));
            self.others = Arc::downgrade(&metrics);
            metrics
        })
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

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

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
        let _service = metrics.service(&"\u{e9}".repeat(100_000));
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
        let services = [&one, &two].map(|it| it.service("s"));
        services[0].retries.increment(3);
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
        let names = ["a\"b\n\nc\\", "a\"b", r#"a\"b"#, r"a\b", r"a\\b"];
        let services = names.map(|name| metrics.service(name));
        for (times, service) in (1..).zip(&services) {
            service.retries.increment(times);
        }
        let page = metrics.render();
        for (times, label) in
            (1..).zip([r#"a\"b\n\nc\\"#, r#"a\"b"#, r#"a\\\"b"#, r"a\\b", r"a\\\\b"])
        {
            let line = format!("bartizan_retries_total{{service=\"{label}\"}} {times}\n");
            assert!(page.contains(&line), "{line}{page}");
        }
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
        let services = 0..2 * MAX_SERVICES;
        let mut services: Vec<_> = services
            .map(|n| metrics.service(&format!("service-{n}")))
            .collect();
        let page = metrics.render();
        let named = |name: &str| page.matches(&format!("service=\"{name}\"")).count();
        // All but the gauges of what a single service is.
        assert_eq!(named("(others)") + 6, named("service-0"));
        assert_eq!(named(&format!("service-{MAX_SERVICES}")), 0);
        // One that goes makes room for another, and the others stay what they are.
        services[MAX_SERVICES].retries.increment(2);
        drop(services.remove(0));
        let late = metrics.service("late");
        late.retries.increment(1);
        let page = metrics.render();
        for line in ["\"late\"} 1", "\"(others)\"} 2"] {
            let line = format!("bartizan_retries_total{{service={line}");
            assert!(page.contains(&line), "{line}");
        }
    }

    #[test]
    fn series_are_there_for_as_long_as_their_service() {
        let metrics = Metrics::new();
        let stays = metrics.service("stays");
        let goes = [(); 2].map(|()| metrics.service("goes"));
        for service in [&stays, &goes[0], &goes[1]] {
            service.retries.increment(1);
        }
        let retries = |page: &str, service: &str| {
            let line = format!("bartizan_retries_total{{service=\"{service}\"}} ");
            let mut lines = page.lines();
            lines.find_map(|it| it.strip_prefix(&line)?.parse::<u64>().ok())
        };
        let [first, second] = goes;
        drop(first);
        let page = metrics.render();
        assert_eq!(retries(&page, "goes"), Some(2));
        drop(second);
        let page = metrics.render();
        assert!(!page.contains("goes"), "{page}");
        assert_eq!(retries(&page, "stays"), Some(1));
        let _back = metrics.service("goes");
        assert_eq!(retries(&metrics.render(), "goes"), Some(0));
    }

    /// As the format demands: whoever reads it refuses a second head.
    #[test]
    fn the_lines_of_a_family_stand_together_below_one_head() {
        let metrics = Metrics::new();
        let _gateway = metrics.gateway("1.2.3");
        let services = ["a", "b", "c"].map(|name| metrics.service(name));
        services[1].retries.increment(1);
        let page = metrics.render();
        let (mut families, mut series) = (Vec::new(), HashSet::new());
        for paragraph in page.split_terminator("\n\n") {
            let mut lines = paragraph.lines();
            let help = lines.next().unwrap().strip_prefix("# HELP ").unwrap();
            let family = help.split(' ').next().unwrap();
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
            assert!(kind.starts_with(&format!("{family} ")), "{kind}");
            for line in lines {
                let (name, _) = line.split_at(line.find(['{', ' ']).unwrap());
                let suffix = name.strip_prefix(family);
                let suffixes = ["", "_bucket", "_sum", "_count"];
                assert!(suffix.is_some_and(|it| suffixes.contains(&it)), "{line}");
                let (labelled, _) = line.rsplit_once(' ').unwrap();
                assert!(series.insert(labelled), "{line} stands twice");
            }
            families.push(family);
        }
        let all: Vec<_> = table::FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(families, all);
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
        let names = (0..=MAX_SERVICES).map(|n| format!("passing-{n}"));
        let _passing: Vec<_> = names.map(|name| passing.service(&name)).collect();
        let chosen = metrics.service("chosen");
        chosen.retries.increment(1);
        let page = metrics.render();
        assert!(page.contains("bartizan_retries_total{service=\"chosen\"} 1"));
        let has = |n: usize| page.contains(&format!("service=\"passing-{n}\""));
        assert!(has(MAX_PASSING - 1) && !has(MAX_PASSING));
        // One that is chosen later makes room for another.
        let _chosen = metrics.service("passing-0");
        let late = ["late", "later"].map(|name| passing.service(name));
        late[0].retries.increment(2);
        late[1].retries.increment(3);
        let page = metrics.render();
        for line in ["\"late\"} 2", "\"(others)\"} 3"] {
            let line = format!("bartizan_retries_total{{service={line}");
            assert!(page.contains(&line), "{line}");
        }
    }
}

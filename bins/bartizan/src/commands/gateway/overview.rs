//! What a registry lists, as far as a command shows it.

use bartizan_discovery::{Entry, Registry, StoreError};
use http::Method;
use serde_json::{Value, json};

use super::{Trouble, place::Target};
use crate::commands::table::{Cell, Table, Tone};

/// The statuses that are counted; an instance of any other is unhealthy.
pub(super) const HEALTHY: &str = "healthy";
pub(super) const UNKNOWN: &str = "unknown";

/// All templates and their instances, whoever told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Overview {
    pub(super) templates: Vec<Template>,
}

/// One template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) name: String,
    pub(super) strategy: Option<String>,
    pub(super) instances: Vec<Row>,
}

/// One instance. Of a program only its name is kept: its arguments may hold tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) endpoint: Option<String>,
    pub(super) program: Option<String>,
    pub(super) transport: String,
    pub(super) status: String,
    /// Whether it gets calls, as far as a gateway knows that.
    pub(super) usable: Option<bool>,
    pub(super) failures: u64,
    pub(super) weight: u64,
    pub(super) last_check: Option<String>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) templates: u64,
    pub(super) instances: u64,
    pub(super) healthy: u64,
}

impl Overview {
    /// Asks the gateway, or reads the file.
    pub(super) async fn of(target: &Target) -> Result<Self, Trouble> {
        match target {
            Target::Gateway { remote, .. } => {
                let answer = remote.ask(&Method::GET, "/gateway/registry", None).await?;
                if !answer.status.is_success() {
                    return Err(remote.refused(&answer));
                }
                Ok(Self::from_answer(&answer.json))
            }
            Target::File { store, .. } => {
                let registry: Result<Registry, StoreError> = store.load().await;
                Ok(Self::from_registry(&registry?))
            }
        }
    }

    fn from_registry(registry: &Registry) -> Self {
        let templates = registry.services.iter().map(|service| Template {
            name: service.name.to_string(),
            strategy: service
                .balancing
                .as_ref()
                .and_then(|it| Some(it.strategy.as_deref()?.to_owned())),
            instances: service.entries.iter().map(Row::from_entry).collect(),
        });
        Self {
            templates: templates.collect(),
        }
    }

    /// What `GET /gateway/registry` says.
    fn from_answer(answer: &Value) -> Self {
        let templates = answer["templates"].as_object().into_iter().flatten();
        let templates = templates.map(|(name, template)| Template {
            name: name.clone(),
            strategy: text(&template["load_balancer"]["strategy"]),
            instances: template["instances"]
                .as_array()
                .into_iter()
                .flatten()
                .map(Row::from_json)
                .collect(),
        });
        Self {
            templates: templates.collect(),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Totals {
            templates: count(self.templates.len()),
            instances: count(self.rows().count()),
            healthy: self.count(HEALTHY),
        }
    }

    /// How many instances have this status.
    pub(super) fn count(&self, status: &str) -> u64 {
        let templates = self.templates.iter();
        let numbers = templates.map(|template| template.count(status));
        u64::try_from(numbers.sum::<usize>()).unwrap_or(u64::MAX)
    }

    /// All instances, each with the name of its template.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.templates.iter().flat_map(|template| {
            let rows = template.instances.iter();
            rows.map(|row| (template.name.as_str(), row))
        })
    }

    pub(super) fn has(&self, template: &str, id: &str) -> bool {
        self.rows()
            .any(|(name, row)| name == template && row.id == id)
    }
}

impl Template {
    /// How many instances have this status. A gateway sends calls to one of unknown health as
    /// well, which a file cannot say, so that is not what counts.
    pub(super) fn count(&self, status: &str) -> usize {
        let instances = self.instances.iter();
        instances.filter(|row| row.status == status).count()
    }
}

impl Row {
    fn from_entry(entry: &Entry) -> Self {
        let program = entry.launch.as_ref().and_then(|it| it.command.first());
        let endpoint = program.is_none().then(|| entry.instance.uri().to_string());
        Self {
            id: entry.instance.id().to_string(),
            endpoint,
            program: program.cloned(),
            transport: entry.transport.as_str().to_owned(),
            status: entry
                .recorded
                .status
                .as_deref()
                .unwrap_or(UNKNOWN)
                .to_owned(),
            usable: None,
            failures: entry.recorded.consecutive_failures.into(),
            weight: entry.instance.weight().into(),
            last_check: entry.recorded.last_health_check.as_deref().map(Into::into),
        }
    }

    fn from_json(instance: &Value) -> Self {
        let command = &instance["command"];
        let weight = instance["metadata"]["weight"].as_u64();
        let program = text(&command[0]).or_else(|| text(command));
        Self {
            id: text(&instance["id"]).unwrap_or_default(),
            endpoint: text(&instance["endpoint"]),
            // As registries have it that do not say.
            transport: text(&instance["transport"]).unwrap_or_else(|| {
                let transport = if program.is_some() { "stdio" } else { "http" };
                transport.to_owned()
            }),
            status: text(&instance["status"]).unwrap_or_else(|| UNKNOWN.to_owned()),
            usable: instance["live"]["usable"].as_bool(),
            failures: instance["consecutive_failures"]
                .as_u64()
                .unwrap_or_default(),
            weight: weight.or(instance["weight"].as_u64()).unwrap_or(1),
            last_check: text(&instance["last_health_check"]),
            program,
        }
    }

    /// Its members for scripts.
    pub(super) fn json(&self, template: &str) -> Value {
        json!({
            "template": template,
            "id": self.id,
            "endpoint": self.endpoint,
            "program": self.program,
            "transport": self.transport,
            "status": self.status,
            "usable": self.usable,
            "consecutive_failures": self.failures,
            "weight": self.weight,
            "last_health_check": self.last_check,
        })
    }
}

/// A table of instances.
pub(super) fn table<'a>(rows: impl IntoIterator<Item = (&'a str, &'a Row)>) -> Table {
    let mut table = Table::new(&[
        "TEMPLATE", "INSTANCE", "STATUS", "FAILURES", "WEIGHT", "SPOKEN", "WHERE",
    ]);
    for (template, row) in rows {
        let tone = match row.status.as_str() {
            HEALTHY => Tone::Good,
            UNKNOWN => Tone::Faint,
            _ => Tone::Bad,
        };
        let place = row.endpoint.as_ref().or(row.program.as_ref());
        table.row([
            template.into(),
            row.id.as_str().into(),
            Cell::from(&row.status).tone(tone),
            row.failures.into(),
            row.weight.into(),
            row.transport.as_str().into(),
            place.map_or("", String::as_str).into(),
        ]);
    }
    table
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_uses_an_instance_does_not_make_it_healthy() {
        let live = json!({"usable": true});
        let instances = json!([
            {"id": "a", "endpoint": "http://a:1", "status": "unknown", "live": live},
            {"id": "b", "endpoint": "http://b:1", "status": "healthy", "live": {"usable": false}},
        ]);
        let overview =
            Overview::from_answer(&json!({"templates": {"t": {"instances": instances}}}));
        assert_eq!((overview.totals().healthy, overview.count(UNKNOWN)), (1, 1));
    }

    #[test]
    fn a_gateway_and_a_file_that_say_the_same_look_the_same() {
        let template = json!({
            "instances": [
                {
                    "id": "fs-1", "template_name": "fs", "endpoint": "http://a:1/",
                    "transport": "http", "status": "healthy", "metadata": {"weight": 3},
                },
                {
                    "id": "fs-2", "template_name": "fs", "transport": "stdio",
                    "command": ["server", "--token=x"], "status": "unhealthy",
                    "consecutive_failures": 7, "last_health_check": "2026-01-01T00:00:00Z",
                },
            ],
            "load_balancer": {"strategy": "weighted"},
        });
        let answer = json!({"templates": {"fs": template}, "stats": {}});
        let overview = Overview::from_answer(&answer);
        let file = json!({"templates": {"fs": template}}).to_string();
        let read = Overview::from_registry(&Registry::from_json(&file).unwrap());
        assert_eq!(overview, read);
        assert_eq!(
            overview.totals(),
            Totals {
                templates: 1,
                instances: 2,
                healthy: 1
            }
        );
        assert_eq!(overview.templates[0].count(HEALTHY), 1);
        assert!(overview.has("fs", "fs-2") && !overview.has("x", "fs-2"));
        let shown = table(overview.rows()).render(false);
        assert!(
            shown.contains("server") && !shown.contains("token"),
            "{shown}"
        );
    }
}

use std::fmt::Write;

use bartizan_config::printable;
use http::Method;
use serde_json::{Value, json};

use super::{
    Trouble,
    overview::{Overview, Totals},
    place::{self, Target},
};
use crate::{
    cli,
    commands::{Failure, table::Table},
};

/// Instances that were registered by hand are in none of the sources.
const KEPT: &str = "what was registered by hand stays: only `deregister` and `cleanup` take it out";

/// Has the gateway look at all its sources, and says what that came to. Without a gateway there
/// is nobody who has sources: the file is read and found to be right or wrong.
pub(super) async fn sync(source: &cli::Source, arguments: &cli::Sync) -> Result<(), Failure> {
    let (target, report) = place::find(source, &arguments.place).await?;
    let looked = match &target {
        Target::Gateway { remote, .. } => {
            // A gateway counts those as healthy that get calls, which one of unknown health does as
            // well; here that is counted which `status` counts.
            let healthy = async || Overview::of(&target).await.map(|it| it.totals().healthy);
            let before = healthy().await?;
            let answer = remote
                .ask_as_operator(&Method::POST, "/gateway/sync", None)
                .await?;
            // One source that fails does not keep the others from being looked at.
            if !answer.status.is_success() && !answer.json["before"].is_object() {
                return Err(remote.refused(&answer).into());
            }
            let mut looked = Looked::from_answer(&answer.json);
            (looked.before.healthy, looked.after.healthy) = (before, healthy().await?);
            looked
        }
        Target::File { .. } => {
            let totals = Overview::of(&target).await?.totals();
            Looked {
                before: totals,
                after: totals,
                ..Looked::default()
            }
        }
    };
    if report.json {
        let Looked {
            before,
            after,
            added,
            removed,
            warnings,
            error,
        } = &looked;
        report.json(
            &target,
            json!({
                "before": before.json(), "after": after.json(),
                "added": added, "removed": removed, "warnings": warnings, "error": error,
            }),
        )?;
        return looked.outcome();
    }
    let mut text = format!("{} by {}\n\n", looked.what(), target.name());
    let _ = writeln!(text, "{}", looked.table().render(report.colour()));
    for (sign, names) in [('+', &looked.added), ('-', &looked.removed)] {
        for name in names {
            let _ = writeln!(text, "{sign} {}", printable(name));
        }
    }
    for warning in &looked.warnings {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    if matches!(target, Target::File { .. }) {
        let _ = writeln!(
            text,
            "\na gateway looks at its sources when it starts and whenever they change"
        );
    }
    let _ = write!(text, "\n{KEPT}");
    report.say(&text)?;
    looked.outcome()
}

/// What a look at all sources came to.
#[derive(Debug, Default)]
struct Looked {
    before: Totals,
    after: Totals,
    added: Vec<String>,
    removed: Vec<String>,
    warnings: Vec<String>,
    error: Option<String>,
}

impl Looked {
    fn from_answer(answer: &Value) -> Self {
        let names = |list: &Value| -> Vec<String> {
            let list = list.as_array().into_iter().flatten();
            list.map(|name| {
                name.as_str()
                    .map_or_else(|| name.to_string(), str::to_owned)
            })
            .collect()
        };
        Self {
            before: Totals::from_json(&answer["before"]),
            after: Totals::from_json(&answer["after"]),
            added: names(&answer["added"]),
            removed: names(&answer["removed"]),
            warnings: names(&answer["warnings"]),
            error: answer["detail"].as_str().map(str::to_owned),
        }
    }

    fn what(&self) -> &'static str {
        if self.added.is_empty() && self.removed.is_empty() {
            "nothing changed; looked at"
        } else {
            "synced"
        }
    }

    fn outcome(self) -> Result<(), Failure> {
        match self.error {
            Some(error) => Err(Trouble::Source(printable(&error)).into()),
            None => Ok(()),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["", "BEFORE", "AFTER", "CHANGE"]);
        let (before, after) = (&self.before, &self.after);
        for (name, before, after) in [
            ("templates", before.templates, after.templates),
            ("instances", before.instances, after.instances),
            ("healthy", before.healthy, after.healthy),
        ] {
            let change = i128::from(after) - i128::from(before);
            let change = match change {
                0 => "0".to_owned(),
                change => format!("{change:+}"),
            };
            table.row([name.into(), before.into(), after.into(), change.into()]);
        }
        table
    }
}

impl Totals {
    /// What a gateway says, but how many are healthy.
    fn from_json(totals: &Value) -> Self {
        let count = |name: &str| totals[name].as_u64().unwrap_or_default();
        Self {
            templates: count("templates"),
            instances: count("instances"),
            healthy: 0,
        }
    }

    fn json(self) -> Value {
        json!({
            "templates": self.templates,
            "instances": self.instances,
            "healthy_instances": self.healthy,
        })
    }
}

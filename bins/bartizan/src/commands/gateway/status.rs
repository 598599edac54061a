use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    overview::{self, HEALTHY, Overview, Totals, UNKNOWN},
    place::{self, Target},
};
use crate::{
    cli,
    commands::{Failure, table::Table},
};

/// Shows what a registry lists, and how it is.
pub(super) async fn status(source: &cli::Source, place: &cli::Place) -> Result<(), Failure> {
    let (target, report) = place::find(source, place).await?;
    let overview = Overview::of(&target).await?;
    let Totals {
        templates,
        instances,
        healthy,
    } = overview.totals();
    let unknown = overview.count(UNKNOWN);
    let gateway = match &target {
        Target::Gateway { stats, .. } => stats["gateway"].clone(),
        Target::File { .. } => Value::Null,
    };
    if report.json {
        let rows = overview.rows().map(|(template, row)| row.json(template));
        let list = overview.templates.iter().map(|template| {
            json!({
                "name": template.name,
                "instances": template.instances.len(),
                "healthy_instances": template.count(HEALTHY),
                "unknown_instances": template.count(UNKNOWN),
                "strategy": template.strategy,
            })
        });
        let members = json!({
            "gateway": gateway,
            "totals": {
                "templates": templates,
                "instances": instances,
                "healthy_instances": healthy,
                "unhealthy_instances": instances - healthy - unknown,
                "unknown_instances": unknown,
            },
            "templates": list.collect::<Vec<_>>(),
            "instances": rows.collect::<Vec<_>>(),
        });
        return report.json(&target, members);
    }
    let mut text = format!("from {}\n\n", target.name());
    let mut totals = Table::new(&[
        "TEMPLATES",
        "INSTANCES",
        "HEALTHY",
        "UNKNOWN",
        "UPTIME",
        "REQUESTS",
    ]);
    let number = |value: &Value| {
        value
            .as_f64()
            .map_or("-".to_owned(), |it| format!("{it:.0}"))
    };
    totals.row([
        templates.into(),
        instances.into(),
        healthy.into(),
        unknown.into(),
        uptime(&gateway["uptime_seconds"]).into(),
        number(&gateway["total_requests"]).into(),
    ]);
    let _ = writeln!(text, "{}", totals.render(report.colour()));
    if !overview.templates.is_empty() {
        let mut table = Table::new(&["TEMPLATE", "INSTANCES", "HEALTHY", "UNKNOWN", "STRATEGY"]);
        for template in &overview.templates {
            table.row([
                template.name.as_str().into(),
                template.instances.len().into(),
                template.count(HEALTHY).into(),
                template.count(UNKNOWN).into(),
                template.strategy.as_deref().unwrap_or("default").into(),
            ]);
        }
        let _ = writeln!(text, "\n{}", table.render(report.colour()));
    }
    if instances > 0 {
        let table = overview::table(overview.rows());
        let _ = writeln!(text, "\n{}", table.render(report.colour()));
    }
    report.say(&text.trim_end())
}

/// A time that a person can take in at a glance.
fn uptime(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_f64() else {
        return "-".to_owned();
    };
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_are_short() {
        let said = |seconds: f64| uptime(&json!(seconds));
        assert_eq!(said(59.9), "59 s");
        assert_eq!(said(61.0), "1 min");
        assert_eq!(said(3_720.0), "1 h 2 min");
        assert_eq!(said(90_000.0), "1 d 1 h");
        assert_eq!(uptime(&Value::Null), "-");
    }
}

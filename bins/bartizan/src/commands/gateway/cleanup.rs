use std::{
    collections::HashSet,
    io::{self, BufRead, IsTerminal, Read, Write},
};

use bartizan_config::printable;
use serde_json::{Value, json};

use super::{
    Trouble,
    deregister::remove,
    overview::{self, Overview, Row},
    place::{self, Target},
};
use crate::{cli, commands::Failure};

/// Takes out instances that have failed their health checks, after asking.
pub(super) async fn cleanup(source: &cli::Source, arguments: &cli::Cleanup) -> Result<(), Failure> {
    let (target, report) = place::find(source, &arguments.place).await?;
    let overview = Overview::of(&target).await?;
    let found: Vec<(&str, &Row)> = overview
        .rows()
        .filter(|(_, row)| row.failures >= arguments.max_failures.into())
        .collect();
    let table = || overview::table(found.iter().copied());
    let asks = !found.is_empty() && !arguments.dry_run && !arguments.yes;
    if asks {
        let table = table().render(false);
        confirm(&format!("{table}\n\n"), found.len(), &target.name())?;
    }
    let outcome = if arguments.dry_run {
        Outcome::default()
    } else {
        // What failed when the question was put may have recovered before it was answered.
        let now = match (&target, asks) {
            (Target::Gateway { .. }, true) => Some(Overview::of(&target).await?),
            _ => None,
        };
        take_out(&target, &found, now.as_ref(), arguments.max_failures).await?
    };
    if report.json {
        let list = |rows: &[(&str, &Row)]| -> Vec<Value> {
            let rows = rows.iter();
            rows.map(|(template, row)| row.json(template)).collect()
        };
        let members = json!({
            "max_failures": arguments.max_failures,
            "dry_run": arguments.dry_run,
            "found": list(&found),
            "removed": list(&outcome.removed),
            "refused": outcome.refused.iter().map(Refusal::json).collect::<Vec<_>>(),
        });
        report.json(&target, members)?;
        return outcome.end();
    }
    let max = arguments.max_failures;
    if found.is_empty() {
        return report.say(&format_args!(
            "nothing to remove: no instance has failed {max} health checks in a row, says {}",
            target.name()
        ));
    }
    if arguments.dry_run {
        return report.say(&format_args!(
            "{}\n\n{} would be removed by {}",
            table().render(report.colour()),
            counted(found.len()),
            target.name()
        ));
    }
    for (template, row) in &outcome.removed {
        let (id, template) = (printable(&row.id), printable(template));
        report.say(&format_args!(
            "removed instance {id} of template {template}"
        ))?;
    }
    report.say(&format_args!(
        "{} removed by {}",
        counted(outcome.removed.len()),
        target.name()
    ))?;
    outcome.end()
}

/// What became of the instances that were found; one that is in neither list was gone or well.
#[derive(Debug, Default)]
struct Outcome<'a> {
    removed: Vec<(&'a str, &'a Row)>,
    refused: Vec<Refusal<'a>>,
}

/// An instance that the gateway did not take out.
#[derive(Debug)]
struct Refusal<'a> {
    template: &'a str,
    id: &'a str,
    why: String,
}

impl Refusal<'_> {
    fn json(&self) -> Value {
        json!({ "template": self.template, "id": self.id, "error": self.why })
    }
}

impl Outcome<'_> {
    /// # Errors
    ///
    /// When there was an instance that was not taken out: which, and why.
    fn end(self) -> Result<(), Failure> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let refused = self.refused.iter().map(|it| {
            let (id, template) = (printable(it.id), printable(it.template));
            format!("instance {id} of template {template}: {}", it.why)
        });
        Err(Trouble::NotRemoved(refused.collect::<Vec<_>>().join("\n")).into())
    }
}

/// Takes out what was found and, as far as is known, still fails.
async fn take_out<'a>(
    target: &Target,
    found: &[(&'a str, &'a Row)],
    now: Option<&Overview>,
    max_failures: u32,
) -> Result<Outcome<'a>, Failure> {
    let mut outcome = Outcome::default();
    match target {
        Target::Gateway { remote, .. } => {
            let fails = |template: &str, id: &str| {
                now.is_none_or(|now| {
                    now.rows().any(|(name, row)| {
                        name == template && row.id == id && row.failures >= max_failures.into()
                    })
                })
            };
            let still = found.iter().filter(|(name, row)| fails(name, &row.id));
            // One that is not the gateway's to take out says nothing about the others; when there
            // is no gateway any more, there is nobody to ask about them.
            let mut is_over = false;
            for (template, row) in still {
                let why = if is_over {
                    "not tried after that".to_owned()
                } else {
                    match remove(remote, template, &row.id).await {
                        Ok(true) => {
                            outcome.removed.push((template, row));
                            continue;
                        }
                        Ok(false) => continue,
                        Err(trouble) => {
                            is_over = !trouble.is_refusal();
                            trouble.to_string()
                        }
                    }
                };
                outcome.refused.push(Refusal {
                    template,
                    id: &row.id,
                    why,
                });
            }
        }
        Target::File { .. } if found.is_empty() => {}
        Target::File { store, .. } => {
            let key = |template: &str, id: &str| (template.to_owned(), id.to_owned());
            let doomed: HashSet<_> = found.iter().map(|(name, row)| key(name, &row.id)).collect();
            let gone = store.remove_where(false, move |it| {
                it.entry.recorded.consecutive_failures >= max_failures
                    && doomed.contains(&key(&it.service, it.entry.instance.id()))
            });
            let gone = gone.await.map_err(Trouble::from)?;
            let gone: HashSet<_> = gone
                .iter()
                .map(|it| key(&it.service, it.entry.instance.id()))
                .collect();
            let rows = found.iter().copied();
            let removed = rows.filter(|(name, row)| gone.contains(&key(name, &row.id)));
            outcome.removed.extend(removed);
        }
    }
    Ok(outcome)
}

/// Asks whoever sits at the terminal, or has an answer ready on standard input; anything but a clear
/// yes is a no.
fn confirm(table: &str, count: usize, target: &str) -> Result<(), Trouble> {
    /// As long as any word that means yes, and as any that means no.
    const LONGEST_ANSWER: u64 = 64;

    let mut out = io::stderr().lock();
    let asked = write!(
        out,
        "{table}Remove {} with {target}? [y/N] ",
        counted(count)
    );
    let asked = asked.and_then(|()| out.flush());
    let mut answer = String::new();
    let read = io::stdin()
        .lock()
        .take(LONGEST_ANSWER)
        .read_line(&mut answer);
    if answer.is_empty() && !io::stdin().is_terminal() {
        return Err(Trouble::NobodyToAsk);
    }
    let answer = answer.trim();
    let yes = answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes");
    if asked.is_ok() && read.is_ok() && yes {
        Ok(())
    } else {
        Err(Trouble::Declined)
    }
}

fn counted(count: usize) -> String {
    match count {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances"),
    }
}

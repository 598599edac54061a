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
    let removed = if arguments.dry_run {
        Vec::new()
    } else {
        take_out(&target, &found, arguments.max_failures).await?
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
            "removed": list(&removed),
        });
        return report.json(&target, members);
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
    for (template, row) in &removed {
        let (id, template) = (printable(&row.id), printable(template));
        report.say(&format_args!(
            "removed instance {id} of template {template}"
        ))?;
    }
    report.say(&format_args!(
        "{} removed by {}",
        counted(removed.len()),
        target.name()
    ))
}

/// Takes out what was found; says what of it was still there, and still failing in the file.
async fn take_out<'a>(
    target: &Target,
    found: &[(&'a str, &'a Row)],
    max_failures: u32,
) -> Result<Vec<(&'a str, &'a Row)>, Failure> {
    let mut removed = Vec::new();
    match target {
        Target::Gateway { remote, .. } => {
            for (template, row) in found {
                if remove(remote, template, &row.id).await? {
                    removed.push((*template, *row));
                }
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
            removed.extend(rows.filter(|(name, row)| gone.contains(&key(name, &row.id))));
        }
    }
    Ok(removed)
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

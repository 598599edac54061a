//! How a value of YAML becomes the text of a variable.

use std::borrow::Cow;

use bartizan_auth::Secret;
use bartizan_document::{Node, Value};

use super::{file::File, key::Target};
use crate::{Origin, Variable, table, variable::Kind};

/// The text of the variable that `node` is for; `None` if it says nothing, or, with a problem, if
/// it cannot be one. `name` is what the variable is called in full.
pub(super) fn text(
    file: &mut File<'_>,
    target: Target,
    node: &Node<'_>,
    origin: &Origin,
    name: &str,
) -> Option<Secret> {
    let variable = target.variable;
    let text = match &node.value {
        Value::Null => return None,
        // The variable means the same whatever it holds.
        Value::Bool(false) if variable.name == table::NO_COLOR.name => return None,
        Value::Map(_) => {
            file.wrong(origin, "must be a text, not a mapping");
            return None;
        }
        Value::List(_) if target.is_file => {
            file.wrong(origin, "must be a text, not a list");
            return None;
        }
        Value::List(list) => {
            let texts = texts(file, list, origin, name)?;
            joined(file, variable, &texts, origin)?
        }
        Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            let text = node.scalar().unwrap_or_default();
            file.expand(&text, origin, Some(name))?
        }
    };
    if variable.is_secret() && text.expose().trim().is_empty() {
        // Not set, it would let everybody in whose keys it was to hold.
        file.wrong(origin, "is empty: say something, or take the key out");
        return None;
    }
    let is_path = target.is_file || matches!(variable.kind, Kind::Path);
    if is_path && !text.expose().trim().is_empty() {
        let path = file.beside(text.expose().trim());
        return Some(Secret::new(path.display().to_string()));
    }
    Some(match in_units(variable.kind, text.expose()) {
        Cow::Borrowed(_) => text,
        Cow::Owned(number) => Secret::new(number),
    })
}

/// The texts of a list, expanded.
pub(super) fn texts(
    file: &mut File<'_>,
    list: &[Node<'_>],
    origin: &Origin,
    name: &str,
) -> Option<Vec<Secret>> {
    let mut texts = Vec::with_capacity(list.len());
    let mut sound = true;
    for node in list {
        let text = match node.scalar() {
            Some(text) => file.expand(&text, &element(origin, node), Some(name)),
            None => {
                file.wrong(&element(origin, node), "must be a text");
                None
            }
        };
        sound &= text.is_some();
        texts.extend(text);
    }
    sound.then_some(texts)
}

/// What stands at `node` in the list at `origin`.
pub(super) fn element(origin: &Origin, node: &Node<'_>) -> Origin {
    match origin {
        Origin::Native { key, path, .. } => Origin::Native {
            key: key.clone(),
            path: path.clone(),
            line: node.place.line as usize,
            column: node.place.column as usize,
        },
        other => other.clone(),
    }
}

/// The elements of a list as the variable has them.
fn joined(
    file: &mut File<'_>,
    variable: &Variable,
    texts: &[Secret],
    origin: &Origin,
) -> Option<Secret> {
    let all = texts.iter().map(Secret::expose);
    if variable.name == table::ARGS.name {
        let words: Vec<_> = all.collect();
        return Some(Secret::new(serde_json::Value::from(words).to_string()));
    }
    if variable.name == table::AUTHORIZE_COMMAND.name {
        return Some(Secret::new(shell_words::join(all)));
    }
    if !matches!(variable.kind, Kind::List(_) | Kind::SecretList) {
        file.wrong(origin, "must be a text, not a list");
        return None;
    }
    if texts.is_empty() {
        // A variable that holds nothing counts as not set, which may mean the opposite.
        file.wrong(
            origin,
            "is an empty list: name something, or take the key out",
        );
        return None;
    }
    let mut all = all;
    if all.any(|text| text.contains([',', '\n']) || text.trim().is_empty()) {
        let what = "must hold texts that are not empty, without commas and line breaks";
        file.wrong(origin, what);
        return None;
    }
    let texts: Vec<_> = texts.iter().map(Secret::expose).collect();
    Some(Secret::new(texts.join(",")))
}

/// A number with a unit as the number that the variable has; any other text as it is.
pub(super) fn in_units(kind: Kind, text: &str) -> Cow<'_, str> {
    let unit = unit(kind);
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let factor = match unit {
        "milliseconds" | "seconds" => duration(suffix.trim_start()),
        "bytes" => size(suffix.trim_start()),
        _ => None,
    };
    let number = digits
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor));
    match number {
        Some(millis) if unit == "seconds" && millis % 1000 == 0 => {
            (millis / 1000).to_string().into()
        }
        Some(number) if unit != "seconds" => number.to_string().into(),
        _ => Cow::Borrowed(text),
    }
}

/// The units that a number of this kind may have, for people.
pub(crate) fn units_of(kind: Kind) -> Option<&'static str> {
    match unit(kind) {
        "milliseconds" | "seconds" => Some("ms, s, m, h or d"),
        "bytes" => Some("B, kB, MB, GB, KiB, MiB or GiB"),
        _ => None,
    }
}

/// The unit of a number without one.
fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Milliseconds { .. } => "milliseconds",
        Kind::Seconds => "seconds",
        Kind::Number { unit, .. } => unit,
        _ => "",
    }
}

/// A unit of time in milliseconds.
fn duration(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

/// A unit of size in bytes.
fn size(unit: &str) -> Option<u64> {
    Some(match unit {
        "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_units() {
        const MILLIS: Kind = Kind::Milliseconds { zero: true };
        const BYTES: Kind = Kind::Number {
            min: 1,
            max: 1 << 40,
            unit: "bytes",
        };
        for (kind, text, expected) in [
            (MILLIS, "250", "250"),
            (MILLIS, "250ms", "250"),
            (MILLIS, "30s", "30000"),
            (MILLIS, "5 min", "300000"),
            (MILLIS, "5m", "300000"),
            (MILLIS, "1h", "3600000"),
            (MILLIS, "1.5s", "1.5s"),
            (MILLIS, "-1s", "-1s"),
            (MILLIS, "soon", "soon"),
            (MILLIS, "s", "s"),
            (MILLIS, "99999999999999999999s", "99999999999999999999s"),
            (MILLIS, "18446744073709551615h", "18446744073709551615h"),
            (Kind::Seconds, "60", "60"),
            (Kind::Seconds, "2m", "120"),
            (Kind::Seconds, "5000ms", "5"),
            (Kind::Seconds, "500ms", "500ms"),
            (BYTES, "10MiB", "10485760"),
            (BYTES, "10 MB", "10000000"),
            (BYTES, "10s", "10s"),
            (Kind::Flag, "10s", "10s"),
        ] {
            assert_eq!(in_units(kind, text), expected, "{text}");
        }
    }
}

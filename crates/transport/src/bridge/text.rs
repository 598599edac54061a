//! Small questions asked of raw JSON.

use std::borrow::Cow;

use bartizan_protocol::edit::{self, Edit, EditError};

/// `raw`, if it is an object.
pub(super) fn object(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| raw.starts_with('{'))
}

/// `raw`, unless it is `null`, which is how some servers spell that there is none.
pub(super) fn given(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| *raw != "null")
}

/// The member of that name; the last one, where it stands twice, as everywhere.
pub(super) fn member<'a>(members: &[(Cow<'_, str>, &'a str)], name: &str) -> Option<&'a str> {
    let last = members.iter().rev().find(|(known, _)| known == name);
    last.map(|(_, raw)| *raw)
}

/// Whether `raw` is an object that has members, and none but those in `gone`.
///
/// What one era demands brings its containers with it: when the demand goes, an emptied container
/// goes too, while one that was empty before stays.
pub(super) fn emptied(raw: Option<&str>, gone: &[&str]) -> bool {
    raw.and_then(|raw| edit::members(raw.as_bytes()))
        .is_some_and(|members| {
            !members.is_empty() && members.iter().all(|(name, _)| gone.contains(&&**name))
        })
}

/// Plans to take `names` from the object `raw`, which stands at `path`, and the object itself if
/// that [empties](emptied) it.
pub(super) fn strip(edit: &mut Edit<'_>, raw: Option<&str>, path: &[&str], names: &[&str]) {
    if emptied(raw, names) {
        edit.remove(path);
        return;
    }
    for name in names {
        edit.remove(&[path, &[name]].concat());
    }
}

/// `json` without what is at `paths`.
pub(super) fn without(json: &str, paths: &[&[&str]]) -> Result<String, EditError> {
    let mut edit = Edit::new(json.as_bytes());
    for path in paths {
        edit.remove(path);
    }
    let edited = edit.finish()?;
    Ok(String::from_utf8_lossy(&edited).into_owned())
}

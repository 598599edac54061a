use std::borrow::Cow;

use bytes::Bytes;

use crate::scan::Scanner;

use super::{
    EditError,
    plan::{self, Action, Plan},
    splice::{self, Splice},
};

/// A document and the changes to make in it.
///
/// Changes are gathered first and made in one pass by [`Edit::finish`]. They take effect in the
/// order in which they were given, except that an index always counts the elements of the array as
/// the document has it: removing element 0 does not move the others.
///
/// Only what is changed is written anew. White space, the order of members, the spelling of numbers
/// and escapes stay as they were.
#[derive(Clone, Debug)]
pub struct Edit<'a> {
    json: &'a [u8],
    plan: Plan,
    error: Option<EditError>,
}

impl<'a> Edit<'a> {
    /// An edit of `json` that changes nothing yet.
    #[must_use]
    pub fn new(json: &'a [u8]) -> Self {
        Self {
            json,
            plan: Plan::default(),
            error: None,
        }
    }

    /// Puts `raw_value`, which is JSON, at `path`.
    ///
    /// What is there is replaced. A member that is missing becomes the last of its object, and
    /// parents that are missing are made.
    pub fn set(&mut self, path: &[&str], raw_value: &str) -> &mut Self {
        let mut scanner = Scanner::new(raw_value);
        let valid = scanner.value().and_then(|_| scanner.end());
        let planned = match valid {
            Ok(()) => self.plan.set(path, raw_value),
            Err(error) => Err(EditError::Value(error)),
        };
        self.keep_first_error(planned)
    }

    /// Removes what is at `path`, with its comma; every occurrence, where a member stands more than
    /// once. What is missing stays missing. The document itself cannot be removed.
    pub fn remove(&mut self, path: &[&str]) -> &mut Self {
        if path.is_empty() {
            return self.keep_first_error(Err(EditError::Parent("".into())));
        }
        let planned = self.plan.remove(path);
        self.keep_first_error(planned)
    }

    fn keep_first_error(&mut self, planned: Result<(), EditError>) -> &mut Self {
        if let Err(error) = planned {
            self.error.get_or_insert(error);
        }
        self
    }

    /// The document with all changes made.
    ///
    /// # Errors
    ///
    /// [`EditError`] if the document or a new value is not JSON, or a member was to be set in
    /// something that is neither an object nor an array with that index.
    pub fn finish(self) -> Result<Bytes, EditError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut scanner = Scanner::from_bytes(self.json)?;
        let mut splices = Vec::new();
        value(&mut scanner, &self.plan, "", &mut splices)?;
        scanner.end()?;
        Ok(splice::apply(self.json, &splices))
    }
}

/// Replaces parts of `json`, each of which is a slice of `json` itself, as accessors of
/// [`Envelope`](crate::Envelope) and [`get`](super::get) return them.
///
/// The quickest edit: nothing is read again.
///
/// ```
/// use bartizan_protocol::{Envelope, edit};
///
/// let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"git__log"}}"#;
/// let envelope = Envelope::read(body)?;
/// let name = envelope.subject_raw().unwrap();
/// let edited = edit::replace(body, &[(name, "\"log\"")])?;
/// assert!(edited.ends_with(br#""params":{"name":"log"}}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`EditError::Part`] if a part is not a slice of `json` or overlaps with another. The new texts
/// are not checked to be JSON.
pub fn replace(json: &[u8], parts: &[(&str, &str)]) -> Result<Bytes, EditError> {
    let mut splices = Vec::with_capacity(parts.len());
    for &(part, text) in parts {
        let start = (part.as_ptr() as usize)
            .checked_sub(json.as_ptr() as usize)
            .filter(|start| start + part.len() <= json.len())
            .ok_or(EditError::Part)?;
        splices.push(Splice {
            range: start..start + part.len(),
            text: Cow::Borrowed(text),
        });
    }
    splices.sort_by_key(|splice| splice.range.start);
    if splices
        .windows(2)
        .any(|pair| pair[0].range.end > pair[1].range.start)
    {
        return Err(EditError::Part);
    }
    Ok(splice::apply(json, &splices))
}

/// Steps over a value and notes what `plan` changes in it.
fn value<'p>(
    scanner: &mut Scanner<'_>,
    plan: &'p Plan,
    name: &str,
    splices: &mut Vec<Splice<'p>>,
) -> Result<(), EditError> {
    if let Action::Set(text) = &plan.action {
        let start = scanner.offset();
        scanner.value()?;
        splices.push(Splice {
            range: start..scanner.offset(),
            text: Cow::Borrowed(text),
        });
        return Ok(());
    }
    let changes = plan
        .children
        .iter()
        .any(|(_, plan)| plan.created().is_some());
    match scanner.peek() {
        _ if plan.children.is_empty() => {
            scanner.value()?;
            Ok(())
        }
        Some(b'{') => object(scanner, plan, splices),
        Some(b'[') => array(scanner, plan, splices),
        _ if changes => Err(EditError::Parent(name.into())),
        _ => {
            scanner.value()?;
            Ok(())
        }
    }
}

fn object<'p>(
    scanner: &mut Scanner<'_>,
    plan: &'p Plan,
    splices: &mut Vec<Splice<'p>>,
) -> Result<(), EditError> {
    let open = scanner.offset() + 1;
    let mut items = Items::default();
    // Where the splices inside the last occurrence of each child are.
    let mut seen: Vec<Option<std::ops::Range<usize>>> = vec![None; plan.children.len()];
    scanner.object(|scanner, key| {
        let child = key.decode().and_then(|name| plan.place(&name));
        let removed = child.is_some_and(|at| matches!(plan.children[at].1.action, Action::Remove));
        items.begin(key.start, removed, splices);
        match child {
            Some(at) if !removed => {
                let before = splices.len();
                let (name, plan) = &plan.children[at];
                value(scanner, plan, name, splices)?;
                if let Some(earlier) = seen[at].replace(before..splices.len()) {
                    let count = earlier.len();
                    splices.drain(earlier.clone());
                    for range in seen.iter_mut().flatten() {
                        if range.start >= earlier.end {
                            *range = range.start - count..range.end - count;
                        }
                    }
                }
            }
            _ => {
                scanner.value()?;
            }
        }
        items.end(scanner.offset(), splices);
        Ok::<_, EditError>(())
    })?;
    items.close(splices);
    let mut added = String::new();
    for ((name, plan), seen) in plan.children.iter().zip(&seen) {
        if let (None, Some(value)) = (seen, plan.created()) {
            if items.kept || !added.is_empty() {
                added.push(',');
            }
            added.push_str(&super::string(name));
            added.push(':');
            added.push_str(&value);
        }
    }
    if !added.is_empty() {
        let at = items.last_end.unwrap_or(open);
        splices.push(Splice {
            range: at..at,
            text: Cow::Owned(added),
        });
    }
    Ok(())
}

fn array<'p>(
    scanner: &mut Scanner<'_>,
    plan: &'p Plan,
    splices: &mut Vec<Splice<'p>>,
) -> Result<(), EditError> {
    let mut items = Items::default();
    let mut index = 0;
    let mut elements = plan.elements().into_iter().peekable();
    scanner.array(|scanner| {
        let child = elements
            .next_if(|&(at, _)| at == index)
            .map(|(_, place)| &plan.children[place]);
        let removed = child.is_some_and(|(_, plan)| matches!(plan.action, Action::Remove));
        items.begin(scanner.offset(), removed, splices);
        match child {
            Some((name, plan)) if !removed => value(scanner, plan, name, splices)?,
            _ => {
                scanner.value()?;
            }
        }
        items.end(scanner.offset(), splices);
        index += 1;
        Ok::<_, EditError>(())
    })?;
    items.close(splices);
    for (name, plan) in &plan.children {
        let missing = plan::index(name).is_none_or(|at| at >= index);
        if missing && plan.created().is_some() {
            return Err(EditError::Element(name.clone()));
        }
    }
    Ok(())
}

/// Removes items of an array or object together with the right commas.
///
/// Once an item has been kept, a removed one goes with the comma before it. Until then it goes with
/// the comma after it, which only the next item, if there is one, shows.
#[derive(Debug, Default)]
struct Items {
    kept: bool,
    removing: bool,
    /// Where an item begins that was removed before any was kept, until the next begins.
    pending: Option<usize>,
    last_end: Option<usize>,
}

impl Items {
    fn begin(&mut self, start: usize, removed: bool, splices: &mut Vec<Splice<'_>>) {
        if let Some(from) = self.pending.take() {
            splices.push(cut(from, start));
        }
        self.removing = removed;
        if removed && !self.kept {
            self.pending = Some(start);
        }
        self.kept |= !removed;
    }

    fn end(&mut self, end: usize, splices: &mut Vec<Splice<'_>>) {
        if let (true, None, Some(from)) = (self.removing, self.pending, self.last_end) {
            splices.push(cut(from, end));
        }
        self.last_end = Some(end);
    }

    fn close(&mut self, splices: &mut Vec<Splice<'_>>) {
        if let (Some(from), Some(to)) = (self.pending.take(), self.last_end) {
            splices.push(cut(from, to));
        }
    }
}

fn cut<'p>(from: usize, to: usize) -> Splice<'p> {
    Splice {
        range: from..to,
        text: Cow::Borrowed(""),
    }
}

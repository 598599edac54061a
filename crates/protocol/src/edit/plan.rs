use std::collections::BTreeMap;

use super::{Edit, EditError};

/// Among so many children it is quicker to look at each than to keep a map, which most edits never
/// need.
const FEW: usize = 8;

/// What is to happen to a value, and to the values inside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) action: Action,
    /// What is to happen inside the value, by member name; only if the action is to keep it.
    pub(super) children: Vec<(Box<str>, Plan)>,
    /// Where each child is, once there are more than a [`FEW`]: every element of a long list may
    /// change, which must not cost the square of its length.
    places: BTreeMap<Box<str>, usize>,
}

/// What is to happen to a value itself.
#[derive(Clone, Debug, Default)]
pub(super) enum Action {
    /// It stays; its children may change.
    #[default]
    Keep,
    /// It stays, and is made if it is missing, because something is to be set inside it.
    Create,
    /// It is replaced by this text, or added.
    Set(String),
    /// It goes.
    Remove,
}

impl Plan {
    /// Plans to set the value at `path`, after all that is planned already.
    pub(super) fn set(&mut self, path: &[&str], value: &str) -> Result<(), EditError> {
        let Some((name, rest)) = path.split_first() else {
            self.action = Action::Set(value.to_owned());
            self.children.clear();
            self.places.clear();
            return Ok(());
        };
        match &mut self.action {
            Action::Set(text) => {
                let mut edit = Edit::new(text.as_bytes());
                edit.set(path, value);
                let edited = edit.finish()?;
                *text = String::from_utf8_lossy(&edited).into_owned();
                Ok(())
            }
            Action::Remove => {
                let mut object = value.to_owned();
                for name in path.iter().rev() {
                    object = format!("{{{}:{object}}}", super::string(name));
                }
                self.action = Action::Set(object);
                Ok(())
            }
            Action::Keep | Action::Create => {
                self.action = Action::Create;
                self.child(name).set(rest, value)
            }
        }
    }

    /// Plans to remove the value at `path`, after all that is planned already.
    pub(super) fn remove(&mut self, path: &[&str]) -> Result<(), EditError> {
        let Some((name, rest)) = path.split_first() else {
            self.action = Action::Remove;
            self.children.clear();
            self.places.clear();
            return Ok(());
        };
        match &mut self.action {
            Action::Set(text) => {
                let mut edit = Edit::new(text.as_bytes());
                edit.remove(path);
                let edited = edit.finish()?;
                *text = String::from_utf8_lossy(&edited).into_owned();
                Ok(())
            }
            Action::Remove => Ok(()),
            Action::Keep | Action::Create => self.child(name).remove(rest),
        }
    }

    fn child(&mut self, name: &str) -> &mut Self {
        let place = self.place(name).unwrap_or_else(|| self.add(name));
        &mut self.children[place].1
    }

    fn add(&mut self, name: &str) -> usize {
        let place = self.children.len();
        self.children.push((name.into(), Self::default()));
        if place > FEW {
            self.places.insert(name.into(), place);
        } else if place == FEW {
            let names = self.children.iter().map(|(name, _)| name.clone());
            self.places = names.zip(0..).collect();
        }
        place
    }

    /// Where the child of that name is.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        if self.children.len() > FEW {
            return self.places.get(name).copied();
        }
        self.children.iter().position(|(known, _)| **known == *name)
    }

    /// The children that name elements of an array: their indices, and where they are, in order.
    pub(super) fn elements(&self) -> Vec<(usize, usize)> {
        let indices = self.children.iter().map(|(name, _)| index(name));
        let mut elements: Vec<_> = indices
            .zip(0..)
            .filter_map(|(index, place)| Some((index?, place)))
            .collect();
        elements.sort_unstable();
        elements
    }

    /// The text of the value if it is missing from the document; `None` if it stays missing.
    pub(super) fn created(&self) -> Option<String> {
        match &self.action {
            Action::Keep | Action::Remove => None,
            Action::Set(text) => Some(text.clone()),
            Action::Create => {
                let mut object = String::from("{");
                for (name, plan) in &self.children {
                    if let Some(value) = plan.created() {
                        if object.len() > 1 {
                            object.push(',');
                        }
                        object.push_str(&super::string(name));
                        object.push(':');
                        object.push_str(&value);
                    }
                }
                object.push('}');
                Some(object)
            }
        }
    }
}

/// The index that `name` is in decimal, without leading zeros.
pub(super) fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || name.starts_with(|first: char| matches!(first, '1'..='9'));
    plain.then(|| name.parse().ok()).flatten()
}

//! How a command says what it has done.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use serde_json::{Map, Value};

use super::place::Target;
use crate::commands::{Failure, print};

/// Says what was done: as JSON for scripts, as text for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) json: bool,
    colour: bool,
}

impl Report {
    pub(super) fn new(json: bool, colour: bool) -> Self {
        Self {
            json,
            colour: colour && io::stdout().is_terminal(),
        }
    }

    pub(super) fn colour(self) -> bool {
        self.colour
    }

    pub(super) fn say(self, text: &dyn fmt::Display) -> Result<(), Failure> {
        print(text)
    }

    /// Prints `members`, after those that say who has done it.
    pub(super) fn json(self, target: &Target, members: Value) -> Result<(), Failure> {
        let mut object = Map::new();
        let registry = target.registry();
        object.insert("by".into(), target.kind().into());
        object.insert("url".into(), target.url().into());
        object.insert(
            "registry".into(),
            registry.map(|path| path.to_string_lossy()).into(),
        );
        if let Value::Object(members) = members {
            object.extend(members);
        }
        print(&format_args!("{:#}", Value::Object(object)))
    }
}

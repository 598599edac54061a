//! Texts of YAML and JSON as values that know where they stand.
//!
//! Whoever reads a file that people write owes them the line and the column of what is wrong
//! with it, also when that only shows long after the text was parsed. So a [`Node`] keeps its
//! [`Place`], numbers and members stay as they were written, and nothing is dropped: a member
//! that is there twice is there twice.
//!
//! ```
//! let root = bartizan_document::parse_yaml("servers:\n  - port: 0x50\n").unwrap();
//! let server = &root.member("servers").unwrap().value.list().unwrap()[0];
//! let port = server.member("port").unwrap();
//! assert_eq!(port.value.scalar().as_deref(), Some("0x50"));
//! assert_eq!(port.value.place.to_string(), "line 2, column 11");
//!
//! let wrong = bartizan_document::parse_yaml("a: [1\nb: 2").unwrap_err();
//! assert_eq!(wrong.place.line, 2);
//! ```
//!
//! # Bounds
//!
//! Values are nested at most 64 deep, what aliases stand for included. What aliases stand for and
//! what anchors keep have bounds as well, so a few lines cannot stand for a billion values nor for
//! a gigabyte of text. How long a text may be is for its reader to say.
//!
//! # When not to use it
//!
//! For texts that programs write for programs: serde reads those into types at once, and faster.

mod json;
mod malformed;
mod node;
mod text;
mod yaml;

pub use json::parse_json;
pub use malformed::Malformed;
pub use node::{Member, Node, Place, Value, write_text};
pub use text::utf8;
pub use yaml::parse_yaml;

use thiserror::Error;

use crate::{Instance, InvalidInstance};

/// Reads a list of instances such as an environment variable holds:
/// `http://a:1;weight=3, http://b:2`.
///
/// Entries are separated by commas; spaces around them do not count. An entry is a URI, followed
/// by any of `;weight=N` and `;id=NAME`. The separator `|` works too, for shells in which a
/// semicolon needs quoting.
///
/// # Errors
///
/// [`InvalidEndpoints`], which says which entry is wrong, and why. A list that names the same
/// place or the same id twice is refused: whoever wrote it meant something else.
pub fn parse_endpoints(text: &str) -> Result<Vec<Instance>, InvalidEndpoints> {
    if text.trim().is_empty() {
        return Err(InvalidEndpoints::Empty);
    }
    let mut instances: Vec<Instance> = Vec::new();
    for (index, entry) in text.split(',').enumerate() {
        let position = index + 1;
        let instance = parse_entry(entry.trim(), position)?;
        let earlier = instances
            .iter()
            .position(|other| other.id() == instance.id() || other.same_place(&instance));
        if let Some(earlier) = earlier {
            return Err(InvalidEndpoints::Duplicate {
                position,
                earlier: earlier + 1,
                id: instance.id().to_string(),
            });
        }
        instances.push(instance);
    }
    Ok(instances)
}

fn parse_entry(entry: &str, position: usize) -> Result<Instance, InvalidEndpoints> {
    let invalid = |reason| InvalidEndpoints::Instance { position, reason };
    if entry.is_empty() {
        return Err(InvalidEndpoints::EmptyEntry { position });
    }
    let mut parts = entry.split([';', '|']).map(str::trim);
    let mut instance = Instance::new(parts.next().unwrap_or_default()).map_err(invalid)?;
    let (mut weighed, mut named) = (false, false);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim_end(), value.trim_start());
        let seen = match name {
            "weight" => &mut weighed,
            "id" => &mut named,
            _ => {
                return Err(InvalidEndpoints::UnknownParameter {
                    position,
                    name: name.to_owned(),
                });
            }
        };
        if std::mem::replace(seen, true) {
            return Err(InvalidEndpoints::RepeatedParameter {
                position,
                name: name.to_owned(),
            });
        }
        instance = if name == "id" {
            instance.with_id(value)
        } else {
            let weight = value
                .parse()
                .map_err(|_| invalid(InvalidInstance::Weight))?;
            instance.with_weight(weight)
        }
        .map_err(invalid)?;
    }
    Ok(instance)
}

/// A list of instances that cannot be read. Positions count from one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidEndpoints {
    /// The list is empty.
    #[error("the list of endpoints is empty")]
    Empty,
    /// Two commas follow each other, or the list begins or ends with one.
    #[error("endpoint {position} is empty")]
    EmptyEntry {
        /// Which entry.
        position: usize,
    },
    /// An entry is not a valid instance.
    #[error("endpoint {position}: {reason}")]
    Instance {
        /// Which entry.
        position: usize,
        /// What is wrong with it.
        reason: InvalidInstance,
    },
    /// An entry has a parameter other than `weight` and `id`.
    #[error("endpoint {position}: unknown parameter `{name}`, expected `weight` or `id`")]
    UnknownParameter {
        /// Which entry.
        position: usize,
        /// The parameter's name.
        name: String,
    },
    /// An entry gives one parameter twice.
    #[error("endpoint {position}: parameter `{name}` is given twice")]
    RepeatedParameter {
        /// Which entry.
        position: usize,
        /// The parameter's name.
        name: String,
    },
    /// Two entries are the same place or bear the same id.
    #[error("endpoint {position} ({id}) repeats endpoint {earlier}")]
    Duplicate {
        /// The later of the two.
        position: usize,
        /// The earlier of the two.
        earlier: usize,
        /// The id of the later one.
        id: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_with_weights_in_both_spellings() {
        let list = parse_endpoints("http://a:1;weight=3, http://b:2|weight = 2 ,https://c;id=blue")
            .unwrap();
        let read: Vec<_> = list.iter().map(|i| (&**i.id(), i.weight())).collect();
        assert_eq!(read, [("http://a:1", 3), ("http://b:2", 2), ("blue", 1)]);
    }

    #[test]
    fn errors_name_the_entry() {
        for (text, message) in [
            ("  ", "the list of endpoints is empty"),
            ("http://a,", "endpoint 2 is empty"),
            (
                "http://a;weight=0",
                "endpoint 1: the weight must be between 1 and 1000000",
            ),
            (
                "http://a;weight=x",
                "endpoint 1: the weight must be between 1 and 1000000",
            ),
            (
                "http://a;wieght=1",
                "endpoint 1: unknown parameter `wieght`, expected `weight` or `id`",
            ),
            (
                "http://a;weight=1;weight=2",
                "endpoint 1: parameter `weight` is given twice",
            ),
            (
                "http://a,http://b,http://A:80/",
                "endpoint 3 (http://A:80) repeats endpoint 1",
            ),
            (
                "http://a;id=x,http://b;id=x",
                "endpoint 2 (x) repeats endpoint 1",
            ),
            (
                "http://a,b:1",
                "endpoint 2: the URI needs a scheme and a host, as in http://10.0.0.1:8080",
            ),
        ] {
            let error = parse_endpoints(text).unwrap_err();
            assert_eq!(error.to_string(), message, "{text:?}");
            let source = std::error::Error::source(&error);
            assert!(source.is_none(), "nothing is said twice: {text:?}");
        }
    }

    #[test]
    fn a_password_never_reaches_the_message() {
        let error = parse_endpoints("http://me:hunter2@a").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,60}") {
            let _ = parse_endpoints(&text);
        }

        #[test]
        fn what_was_written_is_read(weights in proptest::collection::vec(1_u32..=1_000_000, 1..20)) {
            let text: Vec<_> = weights
                .iter()
                .enumerate()
                .map(|(n, weight)| format!("http://10.0.0.{n}:80;weight={weight}"))
                .collect();
            let read: Vec<_> = parse_endpoints(&text.join(","))
                .unwrap()
                .iter()
                .map(Instance::weight)
                .collect();
            prop_assert_eq!(read, weights);
        }
    }
}

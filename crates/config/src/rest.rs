use crate::{
    Setting, Variable,
    reader::{Reader, Scope},
    table,
    value::{Fault, Value},
};

/// What holds for a service that is plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestSettings {
    /// The path, below that of the endpoint, under which operations are: begins and ends with a
    /// slash and holds no empty segment, none of dots, no query, no fragment and no escape.
    pub prefix: Setting<String>,
}

impl RestSettings {
    pub(crate) fn read(reader: &mut Reader<'_>, scope: &Scope) -> Self {
        let prefix: Setting<Prefix> = reader.setting(scope, &table::PATH_PREFIX);
        Self {
            prefix: prefix.map(|Prefix(text)| text),
        }
    }
}

struct Prefix(String);

impl Value for Prefix {
    /// What every server reads in the same way, so that nothing can lead out of the prefix.
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && !segment.bytes().all(|byte| byte == b'.')
                && segment.bytes().all(allowed)
        };
        let inner = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        if text == "/" || inner.is_some_and(|inner| inner.split('/').all(is_segment)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::must(
                "begin and end with / and hold no empty segment, none of dots, no query, no \
                 fragment and no escape",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_cannot_be_left() {
        for text in [
            "/",
            "/api/",
            "/tools/",
            "/v1/tools/",
            "/.well-known/x/",
            "/a.b/",
            "/a:b/",
        ] {
            assert!(Prefix::parse(&table::PATH_PREFIX, text).is_ok(), "{text}");
        }
        for text in [
            "", "api", "/api", "api/", "//", "///", "/a//b/", "/./", "/../", "/a/../b/", "/.../",
            "/a?b/", "/a#/", "/%2e%2e/", "/a b/", "/a\\b/", "/\u{e9}/",
        ] {
            assert!(Prefix::parse(&table::PATH_PREFIX, text).is_err(), "{text}");
        }
    }
}

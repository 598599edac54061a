use std::fmt;

use url::Url;

use crate::{
    Variable,
    value::{Fault, Value, items},
};

/// The web origins whose pages may read the gateway's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All of them (`*`).
    Any,
    /// These, as browsers send them: scheme, host, and port if it is not the scheme's. An empty
    /// list (`none`) allows no page.
    Only(Vec<String>),
}

impl Value for CorsOrigins {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        match text {
            "*" => return Ok(Self::Any),
            "none" => return Ok(Self::Only(Vec::new())),
            _ => {}
        }
        let mut origins: Vec<String> = Vec::new();
        for item in items(text, &[',']) {
            let origin = origin(item).ok_or_else(|| {
                Fault::must("be *, none, or a list of origins such as https://app.example.com")
            })?;
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        Ok(Self::Only(origins))
    }
}

fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let origin = url.origin();
    (bare && origin.is_tuple()).then(|| origin.ascii_serialization())
}

impl fmt::Display for CorsOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(origins) if origins.is_empty() => f.write_str("none"),
            Self::Only(origins) => f.write_str(&origins.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::CORS_ORIGINS;

    #[test]
    fn origins_are_those_that_browsers_send() {
        let parse = |text| CorsOrigins::parse(&CORS_ORIGINS, text).map(|it| it.to_string());
        assert_eq!(parse("*").unwrap(), "*");
        assert_eq!(parse("none").unwrap(), "none");
        assert_eq!(
            parse("https://App.example.com:443/, http://localhost:3000").unwrap(),
            "https://app.example.com, http://localhost:3000"
        );
        for text in [
            "null",
            "*, https://a",
            "app.example.com",
            "https://a/b",
            "data:x",
            "https://u@a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

//! How the text of a variable becomes a value.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use url::Url;

use crate::{
    Variable,
    number::{self, NotANumber},
    table::begins,
    variable::{Kind, MAX_MILLISECONDS},
};

/// Why a text is not a value of its variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The variable's rule is broken: its own words say it.
    Rule,
    /// The same, and this besides, which its words leave open.
    RuleAnd(String),
    /// The text has the wrong form: the variable "must" this.
    Must(String),
    /// The same, where the text may hold a secret and must not be quoted.
    Unquotable(String),
}

impl Fault {
    pub(crate) fn must(what: impl Into<String>) -> Self {
        Self::Must(what.into())
    }

    pub(crate) fn of_choice(variable: &Variable, words: &[&str]) -> Self {
        if variable.rule.is_empty() {
            Self::Must(format!("be one of {}", words.join(", ")))
        } else if words.iter().all(|word| variable.rule.contains(word)) {
            Self::Rule
        } else {
            Self::RuleAnd(format!("it must be one of {}", words.join(", ")))
        }
    }
}

/// A type that the text of a variable can be parsed into.
pub(crate) trait Value: Sized {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault>;
}

/// The rule of `variable`, or these words if it has none.
fn rule_or(variable: &Variable, must: impl FnOnce() -> String) -> Fault {
    if variable.rule.is_empty() {
        Fault::Must(must())
    } else {
        Fault::Rule
    }
}

fn whole(variable: &Variable, text: &str) -> Result<u64, Fault> {
    let (min, max, unit) = match variable.kind {
        Kind::Number { min, max, unit } => (min, max, unit),
        Kind::Milliseconds { zero } => (u64::from(!zero), MAX_MILLISECONDS, "milliseconds"),
        Kind::Seconds => (1, MAX_MILLISECONDS / 1000, "seconds"),
        _ => (0, u64::MAX, ""),
    };
    // A native file may have written the number with another unit, and what is shown is in this.
    let bound = |number: u64| match unit {
        unit if unit.is_empty() || number <= 1 => number.to_string(),
        unit => format!("{number} {unit}"),
    };
    let too_small = || rule_or(variable, || format!("be at least {}", bound(min)));
    let too_large = || Fault::must(format!("be at most {}", bound(max)));
    match number::whole(text) {
        Ok(number) if number < min => Err(too_small()),
        Ok(number) if number <= max => Ok(number),
        Ok(_) | Err(NotANumber::TooLarge) => Err(too_large()),
        Err(NotANumber::Negative) => Err(too_small()),
        Err(NotANumber::Malformed) if unit.is_empty() => Err(Fault::must("be a whole number")),
        Err(NotANumber::Malformed) => Err(Fault::must(format!("be a whole number of {unit}"))),
    }
}

impl Value for Duration {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let number = whole(variable, text)?;
        Ok(match variable.kind {
            Kind::Seconds => Self::from_secs(number),
            _ => Self::from_millis(number),
        })
    }
}

impl Value for u16 {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let number = whole(variable, text)?;
        Self::try_from(number).map_err(|_| Fault::must(format!("be at most {}", Self::MAX)))
    }
}

impl Value for u32 {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let number = whole(variable, text)?;
        Self::try_from(number).map_err(|_| Fault::must(format!("be at most {}", Self::MAX)))
    }
}

impl Value for NonZeroU32 {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let number = u32::parse(variable, text)?;
        Self::new(number).ok_or_else(|| rule_or(variable, || "be at least 1".to_owned()))
    }
}

impl Value for usize {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let number = whole(variable, text)?;
        Self::try_from(number).map_err(|_| Fault::must(format!("be at most {}", Self::MAX)))
    }
}

impl Value for bool {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Fault::must("be true or false")),
        }
    }
}

/// A fraction above zero and at most one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    /// The fraction.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl Value for Ratio {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        match number::decimal(text) {
            Ok(value) if value > 0.0 && value <= 1.0 => Ok(Self(value)),
            _ => Err(Fault::must("be a decimal number above 0 and at most 1")),
        }
    }
}

impl Value for String {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        Ok(text.to_owned())
    }
}

impl Value for PathBuf {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        Ok(Self::from(text))
    }
}

impl Value for Url {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let must = |what: &str| Fault::Unquotable(what.to_owned());
        // A text that holds a password must not be repeated in a message.
        let url = match Self::parse(text) {
            Ok(url) => url,
            Err(_) if text.contains('@') => return Err(must("be a URL")),
            Err(_) => return Err(no_url(variable, text, "be a URL")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(must("not hold a user name or a password"));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(no_url(variable, text, "be an http or https URL"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(rule_or(variable, || "name a host".to_owned()));
        }
        Ok(url)
    }
}

/// The rule of `variable`, with a word on how a URL begins where the text does not.
pub(crate) fn no_url(variable: &Variable, text: &str, must: &str) -> Fault {
    let begins = |scheme: &str| begins(text, scheme);
    match rule_or(variable, || must.to_owned()) {
        Fault::Rule if !begins("http://") && !begins("https://") => {
            Fault::RuleAnd("it must begin with http:// or https://".to_owned())
        }
        fault => fault,
    }
}

impl Value for IpAddr {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::V4(Ipv4Addr::LOCALHOST));
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse()
            .map_err(|_| Fault::must("be an IP address or localhost"))
    }
}

/// Texts separated by commas: trimmed, the empty ones dropped.
impl Value for Vec<String> {
    fn parse(_: &Variable, text: &str) -> Result<Self, Fault> {
        Ok(items(text, &[',']).map(str::to_owned).collect())
    }
}

/// The parts of `text` between any of these separators: trimmed, the empty ones dropped.
pub(crate) fn items<'a>(text: &'a str, separators: &'a [char]) -> impl Iterator<Item = &'a str> {
    text.split(separators)
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

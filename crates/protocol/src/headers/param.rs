use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::edit;

use super::{
    HeaderMismatch, HeaderMismatchReason, InvalidParamHeader,
    check::{read, single},
    decode, encode, schema,
};

/// An argument of a tool that its schema wants mirrored into a header, by `x-mcp-header`.
///
/// ```
/// use bartizan_protocol::headers::Param;
///
/// let schema = r#"{"type":"object","properties":{
///     "region":{"type":"string","x-mcp-header":"Region"}}}"#;
/// let params = Param::all(schema)?;
/// assert_eq!(params[0].header_name(), "mcp-param-region");
/// assert_eq!(params[0].value(r#"{"region":"eu-west"}"#).unwrap(), "eu-west");
/// assert_eq!(params[0].value(r#"{"region":null}"#), None);
/// # Ok::<(), bartizan_protocol::headers::InvalidParamHeader>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    header: HeaderName,
    path: Box<[Box<str>]>,
}

impl Param {
    /// The most mirrored arguments of one tool: 128. The protocol names no bound; servers of HTTP
    /// commonly take about a hundred headers in all, and a header map holds no more than 32768.
    pub const MAX: usize = 128;

    pub(super) fn new(header: HeaderName, path: Box<[Box<str>]>) -> Self {
        Self { header, path }
    }

    /// All mirrored arguments of a tool, from the raw JSON of its `inputSchema`.
    ///
    /// # Errors
    ///
    /// [`InvalidParamHeader`] if an annotation is empty, no header token, used twice in any letter
    /// case, on anything but a string, an integer or a boolean, or not reachable through
    /// `properties` alone, or if there are more than [`Param::MAX`]. A client must then not offer
    /// the tool.
    pub fn all(input_schema: &str) -> Result<Vec<Self>, InvalidParamHeader> {
        schema::params(input_schema)
    }

    /// The name of the header.
    #[must_use]
    pub fn header_name(&self) -> &HeaderName {
        &self.header
    }

    /// Where the argument stands in the arguments.
    pub fn path(&self) -> impl ExactSizeIterator<Item = &str> {
        self.path.iter().map(|name| &**name)
    }

    /// How many bytes it takes to remember it: its header, and each step of its path.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let steps = self.path.iter().map(|name| size_of_val(name) + name.len());
        self.header.as_str().len() + steps.sum::<usize>()
    }

    /// The value of the header for a call with the raw JSON `arguments`.
    ///
    /// `None`, so that the header is left out, if the argument is absent or null, or is no string,
    /// number or boolean.
    #[must_use]
    pub fn value(&self, arguments: &str) -> Option<HeaderValue> {
        let raw = self.raw(arguments)?;
        text(raw).map(|text| encode(&text))
    }

    fn raw<'a>(&self, arguments: &'a str) -> Option<&'a str> {
        let path: Vec<&str> = self.path().collect();
        edit::get(arguments.as_bytes(), &path)
    }
}

/// Checks that the headers of a call mirror its raw JSON `arguments` as the tool's schema wants.
///
/// Integers are compared by value, so that `42.0` in the body is `42` in the header; all else
/// letter by letter. Headers that no parameter names are not looked at.
///
/// # Errors
///
/// [`HeaderMismatch`], for the first header that is missing, given twice, unreadable, different, or
/// there for an argument that is not.
pub fn check_params(
    params: &[Param],
    headers: &HeaderMap,
    arguments: &str,
) -> Result<(), HeaderMismatch> {
    for param in params {
        let raw = param.raw(arguments);
        let expected = raw.and_then(text);
        let Some(value) = single(headers, &param.header, expected.is_some())? else {
            continue;
        };
        let value = read(&param.header, value, decode)?;
        let is_number = raw.is_some_and(is_number);
        let same = expected.is_some_and(|expected| {
            expected == value || is_number && is_number_text(&value) && expected == number(&value)
        });
        if !same {
            return Err(HeaderMismatch::new(
                param.header.clone(),
                HeaderMismatchReason::Different,
            ));
        }
    }
    Ok(())
}

/// The text of a raw JSON value that can be mirrored.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => edit::text(raw),
        b't' | b'f' => Some(Cow::Borrowed(raw)),
        _ if is_number(raw) => Some(number(raw)),
        _ => None,
    }
}

fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Whether the text of a header is a JSON number.
fn is_number_text(text: &str) -> bool {
    is_number(text) && edit::get(text.as_bytes(), &[]).is_some_and(|raw| raw.len() == text.len())
}

/// A number in decimal, where it is an integer that a double represents exactly; otherwise as it
/// is written.
fn number(raw: &str) -> Cow<'_, str> {
    const SAFE: f64 = 9_007_199_254_740_991.0;
    let plain = raw
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-');
    if plain && raw != "-0" {
        return Cow::Borrowed(raw);
    }
    match raw.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() <= SAFE => {
            // Adding zero turns the negative zero into the positive one.
            Cow::Owned(format!("{:.0}", value + 0.0))
        }
        _ => Cow::Borrowed(raw),
    }
}

#[cfg(test)]
mod tests;

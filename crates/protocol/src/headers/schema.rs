use std::{borrow::Cow, collections::HashSet};

use http::HeaderName;
use thiserror::Error;

use crate::{edit, scan::Scanner, syntax_error::SyntaxError};

use super::{MCP_PARAM_PREFIX, Param};

/// The annotation of a property whose argument is mirrored into a header.
const ANNOTATION: &str = "x-mcp-header";

/// Keywords whose value is data and not a schema.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];

/// Keywords, besides `properties`, whose value maps names to schemas, so that its keys are not
/// keywords.
const MAPS: [&str; 4] = [
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
];

/// A tool whose `x-mcp-header` annotations break the rules; it must not be listed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidParamHeader {
    /// The schema is not a JSON object.
    #[error("the input schema is not an object")]
    Schema,
    /// The annotation is not a string.
    #[error("`x-mcp-header` must be a string")]
    NotAString,
    /// The annotation is empty.
    #[error("`x-mcp-header` must not be empty")]
    Empty,
    /// The annotation is not a header token.
    #[error("`x-mcp-header` must be a header token")]
    Token,
    /// Two annotations say the same, perhaps in another letter case.
    #[error("`x-mcp-header` `{0}` is used twice")]
    Duplicate(Box<str>),
    /// The property is no string, integer or boolean.
    #[error("`x-mcp-header` must be on a string, an integer or a boolean")]
    Type,
    /// The property is not reached from the root through `properties` alone.
    #[error("`x-mcp-header` must be reachable through `properties` alone")]
    Unreachable,
    /// More annotations than [`Param::MAX`].
    #[error("`x-mcp-header` is used more than 128 times")]
    TooMany,
}

impl From<SyntaxError> for InvalidParamHeader {
    fn from(_: SyntaxError) -> Self {
        Self::Schema
    }
}

/// Every annotation of a tool's input schema.
pub(super) fn params(schema: &str) -> Result<Vec<Param>, InvalidParamHeader> {
    let mut scanner = Scanner::new(schema);
    if scanner.peek() != Some(b'{') {
        return Err(InvalidParamHeader::Schema);
    }
    let mut walk = Walk::default();
    walk.schema(&mut scanner, true)?;
    scanner.end()?;
    let mut names = HashSet::new();
    for param in &walk.params {
        if !names.insert(param.header_name()) {
            let name = &param.header_name().as_str()[MCP_PARAM_PREFIX.len()..];
            return Err(InvalidParamHeader::Duplicate(name.into()));
        }
    }
    Ok(walk.params)
}

/// One pass over a schema. The scanner bounds its depth.
#[derive(Debug, Default)]
struct Walk<'s> {
    /// Where the schema at hand stands, if it is reachable.
    path: Vec<Cow<'s, str>>,
    params: Vec<Param>,
}

impl<'s> Walk<'s> {
    /// Steps over a schema, an array of schemas, or what is neither.
    fn schema(
        &mut self,
        scanner: &mut Scanner<'s>,
        reachable: bool,
    ) -> Result<(), InvalidParamHeader> {
        match scanner.peek() {
            Some(b'{') => {}
            Some(b'[') => return scanner.array(|scanner| self.schema(scanner, false)),
            _ => {
                scanner.value()?;
                return Ok(());
            }
        }
        let (mut annotation, mut kind) = (None, None);
        scanner.object(|scanner, key| {
            let keyword = key.decode().unwrap_or_default();
            let is_object = scanner.peek() == Some(b'{');
            match &*keyword {
                ANNOTATION => annotation = Some(scanner.value()?),
                "type" => kind = Some(scanner.value()?),
                "properties" if is_object => scanner.object(|scanner, key| {
                    self.path
                        .push(key.decode().unwrap_or(Cow::Borrowed(key.raw)));
                    self.schema(scanner, reachable)?;
                    self.path.pop();
                    Ok::<_, InvalidParamHeader>(())
                })?,
                keyword if is_object && MAPS.contains(&keyword) => {
                    scanner.object(|scanner, _| self.schema(scanner, false))?;
                }
                keyword if DATA.contains(&keyword) => {
                    scanner.value()?;
                }
                _ => self.schema(scanner, false)?,
            }
            Ok::<_, InvalidParamHeader>(())
        })?;
        if let Some(annotation) = annotation {
            if !reachable || self.path.is_empty() {
                return Err(InvalidParamHeader::Unreachable);
            }
            let param = self.param(annotation, kind)?;
            if self.params.len() == Param::MAX {
                return Err(InvalidParamHeader::TooMany);
            }
            self.params.push(param);
        }
        Ok(())
    }

    fn param(&self, annotation: &str, kind: Option<&str>) -> Result<Param, InvalidParamHeader> {
        let name = edit::text(annotation).ok_or(InvalidParamHeader::NotAString)?;
        if name.is_empty() {
            return Err(InvalidParamHeader::Empty);
        }
        let header = HeaderName::try_from(format!("{MCP_PARAM_PREFIX}{name}"))
            .map_err(|_| InvalidParamHeader::Token)?;
        let kind = kind.ok_or(InvalidParamHeader::Type)?;
        let kinds = edit::elements(kind.as_bytes()).unwrap_or_else(|| vec![kind]);
        let mut kinds = kinds
            .into_iter()
            .map(|raw| edit::text(raw).unwrap_or_default())
            // A value that may also be null is mirrored when it is not.
            .filter(|name| name != "null");
        match (kinds.next().as_deref(), kinds.next()) {
            (Some("string" | "integer" | "boolean"), None) => {
                let path = self.path.iter().map(|name| name.as_ref().into()).collect();
                Ok(Param::new(header, path))
            }
            _ => Err(InvalidParamHeader::Type),
        }
    }
}

//! Capabilities of both sides, in the words of either era.

use std::fmt;

use aws_lc_rs::digest;
use bartizan_protocol::{
    edit::{self, EditError},
    method::{ELICITATION_CREATE, ROOTS_LIST, SAMPLING_CREATE_MESSAGE},
};

use super::{meta::TASKS_EXTENSION, text};

/// What a client's capabilities allow a server to ask of it.
///
/// The same words mean the same in both eras, with two subtleties that this type knows:
/// `"elicitation": {}` declares the form mode and no other, and tools in a sampling request need
/// `sampling.tools`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Abilities {
    /// The user can be shown a form.
    pub elicitation_form: bool,
    /// The user can be sent to a URL.
    pub elicitation_url: bool,
    /// The client's model can be asked.
    pub sampling: bool,
    /// The client's model can be given tools.
    pub sampling_tools: bool,
    /// The client tells its roots.
    pub roots: bool,
}

impl Abilities {
    /// Reads them from `ClientCapabilities` of either era; what is not an object declares nothing.
    pub fn read(capabilities: &str) -> Self {
        let has =
            |path: &[&str]| edit::get(capabilities.as_bytes(), path).is_some_and(|it| it != "null");
        let elicitation = has(&["elicitation"]);
        let url = has(&["elicitation", "url"]);
        Self {
            elicitation_form: elicitation && (has(&["elicitation", "form"]) || !url),
            elicitation_url: url,
            sampling: has(&["sampling"]),
            sampling_tools: has(&["sampling", "tools"]),
            roots: has(&["roots"]),
        }
    }

    /// Whether a server may send this request, by method and raw `params`, to such a client.
    ///
    /// # Errors
    ///
    /// [`Undeclared`] names the capability that is missing, or says that no capability would do.
    pub fn admit(self, method: &str, params: Option<&str>) -> Result<(), Undeclared> {
        let member = |name: &str| params.and_then(|params| edit::get(params.as_bytes(), &[name]));
        match method {
            ELICITATION_CREATE => match member("mode") {
                Some("\"url\"") if self.elicitation_url => Ok(()),
                Some("\"url\"") => Err(Undeclared::ElicitationUrl),
                None | Some("\"form\"") if self.elicitation_form => Ok(()),
                None | Some("\"form\"") => Err(Undeclared::ElicitationForm),
                Some(_) => Err(Undeclared::Unknown),
            },
            SAMPLING_CREATE_MESSAGE if !self.sampling => Err(Undeclared::Sampling),
            SAMPLING_CREATE_MESSAGE => {
                let tools = member("tools").or(member("toolChoice"));
                if tools.is_some() && !self.sampling_tools {
                    Err(Undeclared::SamplingTools)
                } else {
                    Ok(())
                }
            }
            ROOTS_LIST if self.roots => Ok(()),
            ROOTS_LIST => Err(Undeclared::Roots),
            _ => Err(Undeclared::Unknown),
        }
    }
}

/// What a server asked of a client that never declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undeclared {
    /// A form for the user.
    #[error("the client did not declare elicitation by form")]
    ElicitationForm,
    /// A URL for the user.
    #[error("the client did not declare elicitation by url")]
    ElicitationUrl,
    /// A message from the client's model.
    #[error("the client did not declare sampling")]
    Sampling,
    /// A message from the client's model, which may use tools.
    #[error("the client did not declare sampling with tools")]
    SamplingTools,
    /// The client's roots.
    #[error("the client did not declare roots")]
    Roots,
    /// Anything at all, while no `tools/call`, `prompts/get` or `resources/read` of a client of
    /// 2026-07-28 waits. [`Abilities::admit`] knows nothing of that; the caller does.
    #[error("the client can be asked only while it waits for a tool, a prompt or a resource")]
    NoCallWaits,
    /// Something that no client can declare.
    #[error("no client can be asked for this")]
    Unknown,
}

/// The capabilities of a client of an older revision, for the `_meta` of 2026-07-28.
///
/// Dropped are `tasks` and the tasks extension, which no other era's tasks correspond to, and
/// `roots.listChanged`, whose notification is gone. All else stays byte for byte; what is not an
/// object becomes one without members.
///
/// # Errors
///
/// [`EditError`] if the text is not JSON.
pub fn client_to_modern(capabilities: &str) -> Result<String, EditError> {
    without(
        capabilities,
        &[
            &["tasks"],
            &["extensions", TASKS_EXTENSION],
            &["roots", "listChanged"],
        ],
    )
}

/// The capabilities of a client of 2026-07-28, for `initialize` of the older revisions.
///
/// Dropped is the tasks extension, and a `tasks` that 2026-07-28 does not define but an older
/// server would believe. All else stays byte for byte, extensions and `experimental` included.
///
/// # Errors
///
/// [`EditError`] if the text is not JSON.
pub fn client_to_legacy(capabilities: &str) -> Result<String, EditError> {
    without(
        capabilities,
        &[&["tasks"], &["extensions", TASKS_EXTENSION]],
    )
}

/// The capabilities of a server of either era, for a client of the other.
///
/// Dropped are `tasks` and the tasks extension. `resources.subscribe` and the `listChanged`s mean
/// the same on both sides of the bridge, since `subscriptions/listen` stands for the one and the
/// session's own stream for the other; `logging` is bridged by [`LogLevel`](super::LogLevel).
///
/// # Errors
///
/// [`EditError`] if the text is not JSON.
pub fn server(capabilities: &str) -> Result<String, EditError> {
    without(
        capabilities,
        &[&["tasks"], &["extensions", TASKS_EXTENSION]],
    )
}

fn without(capabilities: &str, paths: &[&[&str]]) -> Result<String, EditError> {
    if !capabilities.starts_with('{') {
        return Ok("{}".to_owned());
    }
    text::without(capabilities, paths)
}

/// What tells two clients' capabilities apart: SHA-256 over their canonical form.
///
/// Upstream sessions of the older revisions remember what the client declared at `initialize`,
/// so requests may share one only if they declare the same. Order of members, white space and
/// the spelling of escapes do not count; numbers are equal if they are written the same. The
/// client chooses the text, so the digest is one that it cannot make collide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilitiesDigest([u8; 32]);

impl CapabilitiesDigest {
    /// The longest text that is brought into canonical form, in bytes: 16 KiB. What clients
    /// declare is a hundredth of that. Longer texts, and those that are not JSON, are digested
    /// as they stand, so that nobody can make the gateway sort megabytes.
    pub const MAX_CANONICAL: usize = 16 * 1024;

    /// Digests `ClientCapabilities`.
    pub fn of(capabilities: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let value = edit::get(capabilities.as_bytes(), &[]);
        match value.filter(|value| value.len() <= Self::MAX_CANONICAL) {
            Some(value) => absorb(&mut context, value),
            None => absorb_text(&mut context, b"?", capabilities),
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CapabilitiesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Eight digits tell sessions apart in a log; all sixty-four only fill it.
        write!(f, "CapabilitiesDigest(")?;
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "…)")
    }
}

/// Feeds a value so that different values feed different bytes: each begins with its kind, and
/// all that varies in length says how long it is. Depth is bounded by the reader's own limit.
fn absorb(context: &mut digest::Context, value: &str) {
    let json = value.as_bytes();
    if let Some(mut members) = edit::members(json) {
        context.update(b"{");
        context.update(&(members.len() as u64).to_be_bytes());
        members.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (name, value) in members {
            absorb_text(context, b"s", &name);
            absorb(context, value);
        }
    } else if let Some(elements) = edit::elements(json) {
        context.update(b"[");
        context.update(&(elements.len() as u64).to_be_bytes());
        for element in elements {
            absorb(context, element);
        }
    } else if let Some(text) = edit::text(value) {
        absorb_text(context, b"s", &text);
    } else {
        absorb_text(context, b"#", value);
    }
}

fn absorb_text(context: &mut digest::Context, kind: &[u8], text: &str) {
    context.update(kind);
    context.update(&(text.len() as u64).to_be_bytes());
    context.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The capabilities of 2025-11-25's documentation, every one declared.
    const FULL: &str = r#"{"roots":{"listChanged":true},"sampling":{"context":{},"tools":{}},"elicitation":{"form":{},"url":{}},"tasks":{"list":{},"cancel":{},"requests":{"sampling":{"createMessage":{}}}},"experimental":{"x":{"n":1.10}}}"#;

    #[test]
    fn the_modern_words_for_a_legacy_client() {
        assert_eq!(
            client_to_modern(FULL).unwrap(),
            r#"{"roots":{},"sampling":{"context":{},"tools":{}},"elicitation":{"form":{},"url":{}},"experimental":{"x":{"n":1.10}}}"#
        );
        assert_eq!(client_to_modern("{}").unwrap(), "{}");
        assert_eq!(client_to_modern("null").unwrap(), "{}");
    }

    #[test]
    fn the_tasks_extension_stays_on_its_side() {
        let modern = r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#;
        let without = r#"{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#;
        assert_eq!(client_to_legacy(modern).unwrap(), without);
        assert_eq!(client_to_modern(modern).unwrap(), without);
        assert_eq!(server(modern).unwrap(), without);
    }

    #[test]
    fn subscriptions_and_list_changes_mean_the_same_on_both_sides() {
        let capabilities = r#"{"logging":{},"resources":{"subscribe":true,"listChanged":true},"tools":{"listChanged":true},"tasks":{"requests":{"tools":{"call":{}}}}}"#;
        assert_eq!(
            server(capabilities).unwrap(),
            r#"{"logging":{},"resources":{"subscribe":true,"listChanged":true},"tools":{"listChanged":true}}"#
        );
    }

    #[test]
    fn an_empty_elicitation_means_forms() {
        let abilities = Abilities::read(r#"{"elicitation":{}}"#);
        assert!(abilities.elicitation_form && !abilities.elicitation_url);
        let abilities = Abilities::read(r#"{"elicitation":{"url":{}}}"#);
        assert!(!abilities.elicitation_form && abilities.elicitation_url);
        assert_eq!(Abilities::read("{}"), Abilities::default());
        assert_eq!(Abilities::read("7"), Abilities::default());
    }

    #[test]
    fn only_what_was_declared_is_admitted() {
        let none = Abilities::default();
        let all = Abilities::read(FULL);
        let url = Some(r#"{"mode":"url","message":"m","url":"https://a.example"}"#);
        let tools = Some(r#"{"messages":[],"maxTokens":1,"toolChoice":{"mode":"auto"}}"#);
        for (method, params, missing) in [
            (
                "elicitation/create",
                Some("{}"),
                Undeclared::ElicitationForm,
            ),
            ("elicitation/create", url, Undeclared::ElicitationUrl),
            ("sampling/createMessage", tools, Undeclared::Sampling),
            ("roots/list", None, Undeclared::Roots),
        ] {
            assert_eq!(none.admit(method, params), Err(missing));
            assert_eq!(all.admit(method, params), Ok(()));
        }
        let plain = Abilities::read(r#"{"sampling":{}}"#);
        assert_eq!(
            plain.admit("sampling/createMessage", tools),
            Err(Undeclared::SamplingTools)
        );
        assert_eq!(all.admit("ping", None), Err(Undeclared::Unknown));
    }

    #[test]
    fn equal_capabilities_have_equal_digests() {
        let a = CapabilitiesDigest::of(r#"{"sampling":{},"elicitation":{"form":{},"url":{}}}"#);
        let b = CapabilitiesDigest::of(
            r#"{ "elicitation" : {"url":{}, "f\u006frm":{}}, "sampling":{} }"#,
        );
        assert_eq!(a, b);
        assert_ne!(a, CapabilitiesDigest::of(r#"{"sampling":{}}"#));
    }

    #[test]
    fn what_is_too_long_to_sort_is_digested_as_it_stands() {
        let long = |space: &str| {
            let fill = "x".repeat(CapabilitiesDigest::MAX_CANONICAL);
            CapabilitiesDigest::of(&format!(r#"{{{space}"experimental":"{fill}"}}"#))
        };
        assert_eq!(long(""), long(""));
        assert_ne!(long(""), long(" "));
    }

    #[test]
    fn what_differs_only_in_shape_differs_in_digest() {
        let digests = [
            r#"{"a":{"b":{}}}"#,
            r#"{"a":{},"b":{}}"#,
            r#"{"a":["b"]}"#,
            r#"{"a":"b"}"#,
            r#"{"ab":""}"#,
            "[]",
            "{}",
            "null",
            "1E310",
            "1E311",
            "{",
            "",
        ]
        .map(CapabilitiesDigest::of);
        for (i, a) in digests.iter().enumerate() {
            assert!(digests[..i].iter().all(|b| a != b), "{i}");
        }
    }
}

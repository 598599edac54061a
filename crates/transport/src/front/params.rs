use std::collections::HashMap;

use bartizan_protocol::{edit, headers::Param};
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

/// Which arguments of which tools are mirrored into headers, as the lists of tools said that
/// passed by.
///
/// A client on a pipe knows nothing of headers, while an HTTP server may insist on them.
#[derive(Debug, Default)]
pub(super) struct Params {
    /// Held for a lookup; a client's own calls are all that contend for it.
    tools: Mutex<HashMap<Box<str>, Box<[Param]>>>,
}

/// The most tools that are remembered: ten times what the largest catalogs have.
const MAX_TOOLS: usize = 10_000;
/// The longest name that is remembered, and the most bytes of what is mirrored of one tool: ten
/// times what tools have, so that a server cannot fill the memory with ten thousand.
const MAX_NAME_BYTES: usize = 1_024;
const MAX_PARAM_BYTES: usize = 4_096;

impl Params {
    /// Learns from an answer to `tools/list`.
    ///
    /// A tool whose annotations break the rules is left to its server, which is the one to
    /// refuse calls of it.
    pub(super) fn learn(&self, answer: &Bytes) {
        let tools = edit::get(answer, &["result", "tools"]);
        let tools = tools.and_then(|tools| edit::elements(tools.as_bytes()));
        for tool in tools.unwrap_or_default() {
            let member = |name| edit::get(tool.as_bytes(), &[name]);
            let Some(name) = member("name").and_then(edit::text) else {
                continue;
            };
            let params = member("inputSchema").and_then(|schema| Param::all(schema).ok());
            let params = params.unwrap_or_default();
            let bytes: usize = params.iter().map(Param::bytes).sum();
            let mut tools = self.tools.lock();
            if params.is_empty() || bytes > MAX_PARAM_BYTES || name.len() > MAX_NAME_BYTES {
                tools.remove(&*name);
            } else if tools.len() < MAX_TOOLS || tools.contains_key(&*name) {
                tools.insert(name.into(), params.into());
            }
        }
    }

    /// Mirrors the arguments of a call of `tool`.
    pub(super) fn mirror(&self, tool: &str, arguments: &str, headers: &mut HeaderMap) {
        if let Some(params) = self.tools.lock().get(tool) {
            for param in params {
                if let Some(value) = param.value(arguments) {
                    headers.insert(param.header_name().clone(), value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_says_is_mirrored_until_a_later_one_takes_it_back() {
        let params = Params::default();
        let headers = || {
            let mut headers = HeaderMap::new();
            params.mirror("a", r#"{"region":"eu"}"#, &mut headers);
            headers
        };
        assert!(headers().is_empty());
        params.learn(&Bytes::from_static(
            br#"{"result":{"tools":[{"name":"a","inputSchema":{"type":"object","properties":
                {"region":{"type":"string","x-mcp-header":"Region"}}}},{"name":7},{"name":"b"}]}}"#,
        ));
        assert_eq!(headers()["mcp-param-region"], "eu");
        params.learn(&Bytes::from_static(
            br#"{"result":{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}}"#,
        ));
        assert!(headers().is_empty());
    }

    #[test]
    fn what_is_too_long_is_not_remembered() {
        let params = Params::default();
        let longest = "n".repeat(MAX_NAME_BYTES);
        for (name, header, is_kept) in [
            (&*longest, "A", true),
            (&*format!("{longest}n"), "A", false),
            ("short", &*"A".repeat(MAX_PARAM_BYTES), false),
        ] {
            params.tools.lock().clear();
            params.learn(&Bytes::from(format!(
                r#"{{"result":{{"tools":[{{"name":"{name}","inputSchema":{{"type":"object","properties":
                    {{"a":{{"type":"string","x-mcp-header":"{header}"}}}}}}}}]}}}}"#
            )));
            assert_eq!(params.tools.lock().contains_key(name), is_kept);
        }
    }

    #[test]
    fn what_is_no_list_teaches_nothing() {
        let params = Params::default();
        for answer in [
            "",
            "[]",
            r#"{"error":{}}"#,
            r#"{"result":{"tools":{}}}"#,
            r#"{"result":{"tools":[{"name":"a","inputSchema":{"type":"object","properties":
                {"n":{"type":"number","x-mcp-header":"N"}}}}]}}"#,
        ] {
            params.learn(&Bytes::from(answer));
        }
        assert!(params.tools.lock().is_empty());
    }
}

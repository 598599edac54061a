use bartizan_protocol::edit;
use serde_json::value::RawValue;

use super::owners;
use crate::mcp::{Door, tool};

/// A tool as doors describe it that are not MCP's.
#[derive(Debug)]
pub(crate) struct Offer {
    /// Its name at its service.
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) input_schema: Option<Box<RawValue>>,
}

/// Whether the service of `door` offers a tool; `None` if it never said.
pub(crate) async fn offers(door: Door, tool: &str) -> Option<bool> {
    owners::has_tool(door, &tool::nobody(), tool).await
}

/// The tools of the service of `door`: what it says, or said last if it says nothing in time.
/// `None` if it never said anything.
pub(crate) async fn tools(door: Door) -> Option<Vec<Offer>> {
    let tools = owners::tools(door, &tool::nobody()).await?;
    let offers = tools.into_iter().map(|(name, raw)| {
        let member = |name| edit::get(&raw, &[name]);
        Offer {
            name,
            description: member("description")
                .and_then(edit::text)
                .map(std::borrow::Cow::into_owned),
            input_schema: member("inputSchema")
                .and_then(|schema| RawValue::from_string(schema.to_owned()).ok()),
        }
    });
    Some(offers.collect())
}

//! What the operations of the OpenAPI document are grouped by, in the order in which pages show
//! them.

use utoipa::openapi::tag::{Tag, TagBuilder};

pub(crate) const SERVICES: &str = "Services";
pub(crate) const TOOLS: &str = "Tools";
pub(crate) const TEMPLATES: &str = "Templates";
pub(crate) const REGISTRIES: &str = "Registries";
pub(crate) const PROBES: &str = "Probes and metrics";

pub(super) fn all() -> Vec<Tag> {
    [
        (
            SERVICES,
            "Services and their operations, called by an envelope of JSON. A service is one of \
             the configuration's `MCP_SERVICES`.",
        ),
        (
            TOOLS,
            "The tools of all services as plain REST: each is called by its own address, with its \
             arguments as the body.",
        ),
        (
            TEMPLATES,
            "One service at a time, called a template: its tools, resources and prompts, and how its \
             instances are.",
        ),
        (
            REGISTRIES,
            "What registries list: templates, which are services, and their instances, which come \
             and go while the gateway runs.",
        ),
        (
            PROBES,
            "For whatever runs the gateway: whether it lives, whether it takes calls, and what \
             it counted.",
        ),
    ]
    .map(|(name, description)| {
        let tag = TagBuilder::new().name(name);
        tag.description(Some(description)).build()
    })
    .into()
}

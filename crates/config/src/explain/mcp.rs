use super::{Row, Rows, bytes, yes_no};
use crate::{McpGatewaySettings, McpSettings, Origin, redact};

/// What holds for a service that is an MCP server.
pub(super) fn service_rows(rows: &mut Rows, mcp: &McpSettings) {
    const MCP: &str = "mcp";

    rows.add(MCP, "transport", &mcp.transport, |transport| {
        if mcp.programs.is_some() {
            format!("that of each instance; {transport} where none is said")
        } else {
            transport.to_string()
        }
    });
    rows.time(MCP, "stream silent for", &mcp.stream_idle_timeout);
    rows.add(MCP, "trust annotations", &mcp.trust_annotations, |it| {
        yes_no(*it)
    });
    for (name, value) in &mcp.headers {
        rows.add(MCP, "header", value, |value| format!("{name}: {value}"));
    }
    if let Some(query) = &mcp.query {
        rows.shown(MCP, "query", query);
    }
    let Some(process) = &mcp.stdio else {
        return;
    };
    const PROCESS: &str = "process";
    rows.add(PROCESS, "command", &process.command, |command| {
        redact::line(std::slice::from_ref(command))
    });
    rows.add(PROCESS, "arguments", &process.args, |args| {
        if args.is_empty() {
            "none".to_owned()
        } else {
            redact::line(args)
        }
    });
    for (name, value) in &process.env {
        rows.add(PROCESS, "variable", value, |value| {
            format!("{name}={value}")
        });
    }
    let inherited: Vec<_> = process
        .inherited
        .iter()
        .map(|(name, _)| name.to_string_lossy())
        .collect();
    rows.0.push(Row {
        layer: PROCESS,
        setting: "inherits",
        value: inherited.join(", "),
        origin: Origin::Default("the harmless variables of the gateway's own environment"),
    });
    if let Some(directory) = &process.working_dir {
        rows.add(PROCESS, "directory", directory, |it| {
            it.display().to_string()
        });
    }
    rows.time(PROCESS, "unused for", &process.idle_timeout);
    rows.time(PROCESS, "lives at most", &process.max_lifetime);
}

/// What holds for the gateway as an MCP server.
pub(super) fn gateway_rows(rows: &mut Rows, mcp: &McpGatewaySettings) {
    const MCP: &str = "mcp";

    rows.shown(MCP, "tool separator", &mcp.separator);
    if let Some(keys) = &mcp.session_keys {
        rows.add(MCP, "session keys", keys, |keys| {
            format!("{} [redacted]", keys.len())
        });
    }
    rows.time(MCP, "session unused for", &mcp.session_idle_timeout);
    rows.shown(MCP, "sessions", &mcp.max_sessions);
    rows.shown(MCP, "sessions of a caller", &mcp.max_sessions_per_caller);
    if let Some(hosts) = &mcp.allowed_hosts {
        rows.shown(MCP, "hosts", hosts);
    }
    if let Some(origins) = &mcp.allowed_origins {
        rows.shown(MCP, "origins", origins);
    }
    rows.time(MCP, "keep-alive", &mcp.keep_alive);
    rows.time(MCP, "lists wait", &mcp.list_timeout);
    rows.shown(MCP, "processes", &mcp.max_children);
    rows.add(MCP, "largest stream", &mcp.max_stream_bytes, |it| {
        bytes(*it)
    });
}

//! MCP servers that are child processes.

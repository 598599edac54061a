"""Follows the documents; see run.sh. Prints a line a step, and fails at the first that does not do
what its document says."""
import asyncio
import contextlib
import fcntl
import http.server
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PARTIES = Path(os.environ["MCP_PARTIES"])
FILESYSTEM = PARTIES / "npm/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"
DONE = set()
DIRECTORY = Path(tempfile.mkdtemp(prefix="documents-"))


def loopback():
    """Turns the one interface on that a new network has."""
    up, running = 1, 64
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh", b"lo", up | running)
        fcntl.ioctl(control, 0x8914, request)


def names(**hosts):
    """Lets names lead to addresses, for whoever sees the file system as this process does."""
    hosts_file = DIRECTORY / "hosts"
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{address} {name}" for name, address in hosts.items()]
    hosts_file.write_text("\n".join(lines) + "\n")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", hosts_file, "/etc/hosts"], check=True)


def sh(command, code=0, **variables):
    """Runs a line of a document and gives what it printed."""
    environment = {**os.environ, "HOME": str(DIRECTORY), "PATH": f"{DIRECTORY}:{os.environ['PATH']}", **variables}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=environment, cwd=DIRECTORY, timeout=60
    )
    assert done.returncode == code, f"$ {command}\nexit status {done.returncode}\n{done.stdout}{done.stderr}"
    if command not in DONE:
        DONE.add(command)
        print(f"ok  $ {command.splitlines()[0]}")
    return done.stdout


def eventually(what, within=20):
    """Waits for something that takes a moment, such as the first health check."""
    end = time.monotonic() + within
    while True:
        try:
            return what()
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def served(port, answer):
    """A small HTTP server, which answers what `answer` says of a method, a path and a body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, reply = answer(self.command, self.path, body)
            text = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_DELETE = do_POST

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()


@contextlib.contextmanager
def running(command, ready, **variables):
    """A process that is told to stop in the end."""
    environment = {**os.environ, "HOME": str(DIRECTORY), **variables}
    with open(DIRECTORY / "log", "a") as log:
        process = subprocess.Popen(command, env=environment, cwd=DIRECTORY, stdout=log, stderr=log)
    try:
        eventually(lambda: sh_quiet(f"curl -fs {ready}"))
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0


def sh_quiet(command):
    assert subprocess.run(command.split(), capture_output=True, timeout=10).returncode == 0, command


def mcp_server(method, path, body):
    """An MCP server of one tool, as `http://localhost:7071` may be."""
    message = json.loads(body) if body else {}
    if method != "POST":
        return 405, {}
    if "id" not in message:
        return 202, {}
    results = {
        "initialize": {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "mytemplate", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "add", "description": "Adds", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": "3"}], "isError": False},
        "ping": {},
    }
    result = results.get(message["method"])
    if result is None:
        return 200, {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "unknown"}}
    return 200, {"jsonrpc": "2.0", "id": message["id"], "result": result}


def templates():
    """The gateway of templates and instances."""
    (DIRECTORY / "mcpp").symlink_to(os.environ["BARTIZAN"])
    if not shutil.which("jq"):
        (DIRECTORY / "jq").write_text(JQ)
        (DIRECTORY / "jq").chmod(0o755)
    sh("mcpp gateway start --background")
    try:
        health = json.loads(sh("curl http://localhost:8080/gateway/health"))
        assert health["status"] in ("healthy", "ok"), health
        assert json.loads(sh("curl http://localhost:8080/gateway/registry"))["templates"] == {}

        with served(7071, mcp_server):
            sh("mcpp gateway register mytemplate --endpoint http://localhost:7071")
            sh(f'mcpp gateway register filesystem --command "node {FILESYSTEM} /etc" --working-dir /etc')
            eventually(lambda: registered({"mytemplate", "filesystem"}))
            listed = json.loads(sh("curl -X GET http://localhost:8080/mcp/filesystem/tools/list"))
            assert listed["count"] == len(listed["tools"]) > 1
            tool = next(tool for tool in listed["tools"] if tool["name"] == "read_file")
            assert tool["description"]
            assert tool["parameters"]["type"] == "object"
            assert tool["parameters"]["properties"]["path"]["type"] == "string"
            result = json.loads(
                sh(
                    """curl -X POST http://localhost:8080/mcp/filesystem/tools/call \\
  -H "Content-Type: application/json" \\
  -d '{
    "name": "read_file",
    "arguments": {"path": "/etc/hosts"}
  }'"""
                )
            )
            assert result["content"][0]["type"] == "text"
            assert result["content"][0]["text"].startswith("127.0.0.1 localhost\n"), result
            assert result.get("isError", False) is False
            asyncio.run(use_gateway())

            health = json.loads(sh("curl -X GET http://localhost:8080/mcp/filesystem/health"))
            assert health["template_name"] == "filesystem"
            assert health["total_instances"] == health["healthy_instances"] == 1
            assert health["health_percentage"] == 100.0
            (instance,) = health["instances"].values()
            assert instance["healthy"] is True
            assert instance["status"] == "healthy"
            sh("curl http://localhost:8080/mcp/mytemplate/health")
            assert json.loads(sh("curl http://localhost:8080/mcp/mytemplate/tools/list"))["count"] == 1

            stats = json.loads(sh("curl http://localhost:8080/gateway/stats | jq"))
            assert stats["registry"]["total_templates"] == 2
            checks = json.loads(sh("curl http://localhost:8080/gateway/stats | jq '.health_checker'"))
            assert checks["running"] is True
            eventually(checked)
            sh("mcpp gateway status")
            sh("mcpp gateway sync")
            registered({"mytemplate", "filesystem"})
            sh("mcpp gateway cleanup --dry-run")
            instances = json.loads(sh("mcpp gateway status --json"))["instances"]
            instance = next(instance for instance in instances if instance["template"] == "mytemplate")
            sh(f"mcpp gateway deregister mytemplate {instance['id']}")
            eventually(lambda: registered({"filesystem"}))
        for page in ("docs", "redoc", "openapi.json"):
            sh(f"curl -f http://localhost:8080/{page}")
    finally:
        process = int(next(DIRECTORY.rglob("*.pid")).read_text().split()[0])
        os.kill(process, 15)
        eventually(lambda: stopped(process))
    # What was registered is there again after a restart, and the address is the operator's word.
    start = "mcpp gateway start --host 0.0.0.0 --port 8080 --sync --background"
    refused = sh(f"{start} 2>&1", code=1)
    assert "MCP_GATEWAY_INSECURE_BIND" in refused, refused
    sh(start, MCP_GATEWAY_INSECURE_BIND="true")
    registered({"filesystem"})
    os.kill(int(next(DIRECTORY.rglob("*.pid")).read_text().split()[0]), 15)


def registered(expected):
    registry = json.loads(sh("curl http://localhost:8080/gateway/registry"))
    assert set(registry["templates"]) == expected, registry


def checked():
    checker = json.loads(sh("curl http://localhost:8080/gateway/stats | jq '.health_checker'"))
    assert checker["total_checks"] > 0, checker


def stopped(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return
    assert state == "Z", f"process {process} still runs"


# As much of jq as the document needs, where there is none.
JQ = f"""#!{sys.executable}
import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]:
    value = value[name.strip(".")]
print(json.dumps(value))
"""


async def use_gateway():
    """The example in Python."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with session.get("http://localhost:8080/mcp/filesystem/tools/list") as resp:
            tools = await resp.json()
            assert len(tools["tools"]) > 1

        async with session.post(
            "http://localhost:8080/mcp/filesystem/tools/call",
            json={"name": "read_file", "arguments": {"path": "/etc/hosts"}},
        ) as resp:
            result = await resp.json()
            assert result["content"][0]["text"][:9] == "127.0.0.1"
    print("ok  the example in Python")


REGISTRY = """\
version: "1.0"

servers:
  - namespace: manifest
    name: chora-mcp-manifest
    docker_image: chora-mcp-manifest:latest
    port: 8081
    health_url: http://chora-mcp-manifest:8081/health
    tools:
      - name: list_servers
        description: List all registered MCP servers
      - name: get_server
        description: Get details of a specific server
"""


def tools():
    """The gateway of namespaces and tools."""
    (DIRECTORY / "registry.yaml").write_text(REGISTRY)
    servers = {"servers": [{"namespace": "n8n", "port": 8082}]}
    asked = []

    def manifest(method, path, body):
        asked.append((method, path, body))
        return 200, servers if path == "/tools/list_servers" else {}

    with served(8081, manifest), running(
        [os.environ["BARTIZAN"]],
        "http://localhost:8080/livez",
        REGISTRY_PATH=str(DIRECTORY / "registry.yaml"),
        HOST="127.0.0.1",
        PORT="8080",
        POLL_INTERVAL="60",
        HEALTH_CHECK_INTERVAL="60",
    ):
        eventually(all_healthy)
        eventually(listed_as_documented)
        body = '{\n  "filter": "namespace:n8n"\n}'
        answer = sh(f"""curl -X POST http://localhost:8080/tools/manifest.list_servers -H 'Content-Type: application/json' -d '{body}'""")
        assert json.loads(answer) == servers
        assert ("POST", "/tools/list_servers", body.encode()) in asked
        answer = sh("curl -w '%{http_code}' -X POST http://localhost:8080/tools/manifest.nothing")
        assert answer == '{"detail":"Tool not found: manifest.nothing"}404', answer


def listed_as_documented():
    first, second = json.loads(sh("curl http://localhost:8080/tools"))["tools"]
    expected = {
        "name": "manifest.list_servers",
        "namespace": "manifest",
        "tool_name": "list_servers",
        "backend_url": "http://chora-mcp-manifest:8081",
        "health_status": "healthy",
    }
    assert expected.items() <= first.items(), first
    assert second["name"] == "manifest.get_server"


def all_healthy():
    health = json.loads(sh("curl http://localhost:8080/health"))
    expected = {"status": "healthy", "backends_total": 1, "backends_healthy": 1, "backends_unhealthy": 0}
    assert expected.items() <= health.items(), health


def main():
    loopback()
    names(**{"chora-mcp-manifest": "127.0.0.1"})
    try:
        tools()
        templates()
    except BaseException:
        for log in DIRECTORY.rglob("*log*"):
            if log.is_file():
                sys.stderr.write(f"--- {log}\n{log.read_text()}")
        raise
    print("all that the documents say is so")


main()

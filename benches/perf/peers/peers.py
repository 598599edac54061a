"""How each peer is started and reached. A function returns None where its program is not installed."""
import os, shutil
HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.join(os.path.dirname(HERE), "target/release")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
UP = "127.0.0.1:19100"
AGG = [f"127.0.0.1:{19101 + i}" for i in range(10)]
G = "http://127.0.0.1:19200"
REQUEST = ('{"id":"request-123","timestamp":"2025-01-21T10:30:00Z","service":"user-service","operation":"small",'
    '"parameters":{"userId":"123"},"metadata":{"correlationId":"corr-123","timeout":30000,"priority":"normal","agentId":"chatbot-agent"}}')
SMALL_NAME = "Ada Lovelace"

def exe(var, *names):
    v = os.environ.get(var)
    if v: return v if os.path.exists(v) else None
    for n in names:
        w = n if os.path.isabs(n) and os.path.exists(n) else shutil.which(n)
        if w: return w
    return None
def rest(b): return {"rest": b + "/small", "rest_1m": b + "/size/1048576", "request": b + "/api/small"}

def direct(run):
    b = "http://" + UP
    return dict(cmd=None, ready=("http", b + "/small"), urls={**rest(b), "mcp": b + "/mcp", "mcp_sse": b + "/mcp-sse", "modern": b + "/mcp"})
def floor(mode):
    def f(run):
        c = [os.path.join(BIN, "gwb-floor"), "--mode", mode, "--listen", "19200", "--upstream", UP]
        return dict(cmd=c, ready=("http", G + "/small"), urls={**rest(G), "mcp": G + "/mcp", "mcp_sse": G + "/mcp-sse", "modern": G + "/mcp"})
    return f
def floor_mcp(run):
    c = [os.path.join(BIN, "gwb-floor"), "--mode", "mcp", "--listen", "19200", "--path", "/mcp", "--upstream", UP]
    return dict(cmd=c, ready=("http", G + "/small"), urls={**rest(G), "mcp": G + "/mcp", "modern": G + "/mcp"})
def floor_mcp_sse(run):
    """The same before an upstream that answers as SSE: it passes the events on unread."""
    c = [os.path.join(BIN, "gwb-floor"), "--mode", "mcp", "--listen", "19200", "--path", "/mcp-sse", "--upstream", UP]
    return dict(cmd=c, ready=("http", G + "/small"), urls={"mcp_sse": G + "/mcp"})
def floor_agg(ttl):
    def f(run):
        c = [os.path.join(BIN, "gwb-floor"), "--mode", "mcp", "--listen", "19200", "--path", "/mcp", "--list-ttl-ms", ttl] + sum([["--upstream", u] for u in AGG], [])
        return dict(cmd=c, ready=("list", G + "/mcp"), ready_args=["--expect-tools", "500"], urls={"agg": G + "/mcp"}, tools={"agg": "u7_echo"})
    return f
def mcp_service(name, url):
    """A service with everything on, and limits that admit every call and are still asked."""
    p = "MCP_SERVICE_" + name.upper() + "_"
    return {p + "TRANSPORT": "streamable-http", p + "ENDPOINT": url, p + "AUTH_TYPE": "bearer", p + "TOKEN": "d2VsbC1rZXB0",
        p + "RATE_LIMIT_RPM": "60000000", p + "RATE_LIMIT_BURST": "1000000"}
def bartizan_mcp(run):
    """MCP services at their own addresses."""
    e = exe("GWB_BARTIZAN", os.path.join(ROOT, "target/release/bartizan"))
    env = {"MCP_GATEWAY_HOST": "127.0.0.1", "PORT": "19200", "MCP_SERVICES": "up,stream", **mcp_service("up", f"http://{UP}/mcp"), **mcp_service("stream", f"http://{UP}/mcp-sse")}
    return e and dict(cmd=[e, "serve"], env=env, ready=("call", G + "/mcp/up"), urls={"mcp": G + "/mcp/up", "mcp_sse": G + "/mcp/stream", "modern": G + "/mcp/up"})
def bartizan_agg(run):
    """Ten MCP services behind one address."""
    e = exe("GWB_BARTIZAN", os.path.join(ROOT, "target/release/bartizan"))
    env = {"MCP_GATEWAY_HOST": "127.0.0.1", "PORT": "19200", "MCP_SERVICES": ",".join(f"u{i}" for i in range(10))}
    for i, u in enumerate(AGG): env.update(mcp_service(f"u{i}", f"http://{u}/mcp"))
    return e and dict(cmd=[e, "serve"], env=env, ready=("list", G + "/mcp"), ready_args=["--expect-tools", "500"], urls={"agg": G + "/mcp"}, tools={"agg": "u7__echo"})
def bartizan(run):
    """Everything on that is on by default; the limits are set so high that they admit every call, and are still asked."""
    e = exe("GWB_BARTIZAN", os.path.join(ROOT, "target/release/bartizan"))
    env = {"MCP_GATEWAY_HOST": "127.0.0.1", "PORT": "19200", "MCP_SERVICES": "user-service", "MCP_SERVICE_USER_SERVICE_ENDPOINT": "http://" + UP,
        "MCP_SERVICE_USER_SERVICE_AUTH_TYPE": "bearer", "MCP_SERVICE_USER_SERVICE_TOKEN": "d2VsbC1rZXB0", "MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM": "60000000",
        "MCP_SERVICE_USER_SERVICE_RATE_LIMIT_BURST": "1000000"}
    return e and dict(cmd=[e, "serve"], env=env, ready=("http", G + "/livez"), ready_args=["--expect", "ok\n"], urls={"request": G + "/mcp/request"})
def mcp_proxy_rs(name, backends, url_key):
    """mcp-proxy 0.6.0 of crates.io (`cargo install mcp-proxy --version 0.6.0 --locked`) with as little turned on as it lets one."""
    def f(run):
        e = exe("GWB_MCP_PROXY_RS")
        if not e: return None
        path = os.path.join(run, f"mcp-proxy-{url_key}.toml")
        with open(path, "w") as conf:
            conf.write('[proxy]\nname = "floor"\nseparator = "__"\nlisten = { host = "127.0.0.1", port = 19200 }\n[observability]\naudit = false\nlog_level = "error"\n')
            for backend, address in backends: conf.write(f'[[backends]]\nname = "{backend}"\ntransport = "http"\nurl = "http://{address}/mcp"\n')
        tool = f"{name}__echo"
        ready = dict(ready=("call", G + "/"), ready_args=["--tool", tool]) if url_key == "mcp" else dict(ready=("list", G + "/"), ready_args=["--expect-tools", "500"])
        return dict(cmd=[e, "-c", path], urls={url_key: G + "/"}, tools={url_key: tool}, **ready)
    return f

PEERS = {"direct": direct, "floor-tcp": floor("tcp"), "floor-hyper": floor("hyper"), "floor-mcp": floor_mcp, "floor-mcp-sse": floor_mcp_sse, "bartizan": bartizan,
    "floor-agg": floor_agg("0"), "floor-agg-cached": floor_agg("60000"), "bartizan-mcp": bartizan_mcp, "bartizan-agg": bartizan_agg,
    "mcp-proxy-rs": mcp_proxy_rs("up", [("up", UP)], "mcp"), "mcp-proxy-rs-agg": mcp_proxy_rs("u7", [(f"u{i}", u) for i, u in enumerate(AGG)], "agg")}

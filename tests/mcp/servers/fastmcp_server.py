"""A server on FastMCP, which speaks both eras."""

import sys

from fastmcp import Context, FastMCP

server = FastMCP("fastmcp-server")


@server.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool
async def count(to: int, context: Context) -> str:
    """Counts, and reports how far it is."""
    for number in range(1, to + 1):
        await context.report_progress(number, to)
    return f"counted to {to}"


@server.resource("memo://greeting")
def greeting() -> str:
    return "A greeting from FastMCP"


@server.prompt
def review(subject: str) -> str:
    """Asks for a review."""
    return f"Please review {subject}"


server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False, log_level="info")

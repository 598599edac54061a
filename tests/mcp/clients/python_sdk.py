"""The Python SDK."""

import sys
from contextlib import asynccontextmanager

import anyio
from mcp import StdioServerParameters, types
from mcp.client.client import Client
from mcp.client.sse import sse_client

from python_steps import drive, environment, mode


class Driver:
    def __init__(self, client):
        self.client = client

    def version(self):
        return self.client.protocol_version

    async def tool_names(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, name, arguments, progress):
        return await self.client.call_tool(name, arguments, progress_callback=progress)

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages


@asynccontextmanager
async def connected(task, answers):
    target = task["target"]
    server = {
        "http": lambda: target["url"],
        "sse": lambda: sse_client(target["url"]),
        "stdio": lambda: StdioServerParameters(
            command=target["command"], args=target["args"], env=environment(target), cwd=target.get("cwd")
        ),
    }[target["transport"]]()

    async def sampling(context, params):
        answers.asked.append("sampling/createMessage")
        content = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", model="test", content=content)

    async def elicitation(context, params):
        return types.ElicitResult(action="accept", content=answers.elicit(params.requested_schema))

    async def roots(context):
        answers.asked.append("roots/list")
        return types.ListRootsResult(roots=[types.Root(uri="file:///tmp", name="scratch")])

    callbacks = dict(sampling_callback=sampling, elicitation_callback=elicitation, list_roots_callback=roots)
    async with Client(server, mode=mode(task), **callbacks) as client:
        yield Driver(client)


sys.exit(anyio.run(drive, connected))

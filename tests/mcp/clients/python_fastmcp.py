"""The client of FastMCP."""

import asyncio
import sys
from contextlib import asynccontextmanager

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from mcp import types

from python_steps import drive, environment, mode


class Driver:
    def __init__(self, client):
        self.client = client

    def version(self):
        return self.client.protocol_version

    async def tool_names(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, name, arguments, progress):
        return await self.client.call_tool(name, arguments, progress_handler=progress, raise_on_error=False)

    async def read(self, uri):
        return await self.client.read_resource(uri)

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages


@asynccontextmanager
async def connected(task, answers):
    target = task["target"]
    transport = {
        "http": lambda: StreamableHttpTransport(target["url"]),
        "sse": lambda: SSETransport(target["url"]),
        "stdio": lambda: StdioTransport(
            target["command"], target["args"], env=environment(target), cwd=target.get("cwd"), keep_alive=False
        ),
    }[target["transport"]]()

    async def sampling(messages, params, context):
        answers.asked.append("sampling/createMessage")
        return "sampled"

    async def elicitation(message, response_type, params, context):
        return types.ElicitResult(action="accept", content=answers.elicit(params.requested_schema))

    async def roots(context):
        answers.asked.append("roots/list")
        return ["file:///tmp"]

    handlers = dict(sampling_handler=sampling, elicitation_handler=elicitation, roots=roots)
    async with Client(transport, mode=mode(task), **handlers) as client:
        yield Driver(client)


sys.exit(asyncio.run(drive(connected)))

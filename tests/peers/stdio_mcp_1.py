"""Lists the tools of an MCP server and calls one, with the PyPI package `mcp` 1: prints one line of JSON.

Usage: stdio_mcp_1.py TOOL ARGUMENTS COMMAND...
The command is the server, spoken to over its standard input and output.
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(tool, arguments, command, *command_arguments):
    server = StdioServerParameters(command=command, args=list(command_arguments))
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            initialized = await session.initialize()
            tools = await session.list_tools()
            result = await session.call_tool(tool, json.loads(arguments))
            print(json.dumps({
                "protocol": initialized.protocolVersion,
                "tools": [tool.name for tool in tools.tools],
                "is_error": bool(result.isError),
                "text": "".join(part.text for part in result.content if part.type == "text"),
            }))


asyncio.run(main(*sys.argv[1:]))

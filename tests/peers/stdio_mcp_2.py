"""Lists the tools of an MCP server and calls one, with the PyPI package `mcp` 2: prints one line of JSON.

Usage: stdio_mcp_2.py ERA TOOL ARGUMENTS COMMAND...
ERA is `legacy` (the initialize handshake), `2026-07-28` (a revision without it), or `auto` (whichever it is). The
command is the server, spoken to over its standard input and output.
"""

import asyncio
import json
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client


async def main(era, tool, arguments, command, *command_arguments):
    server = StdioServerParameters(command=command, args=list(command_arguments))
    async with Client(stdio_client(server), mode=era) as client:
        tools = await client.list_tools()
        result = await client.call_tool(tool, json.loads(arguments))
        print(json.dumps({
            "protocol": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "is_error": bool(result.is_error),
            "text": "".join(part.text for part in result.content if part.type == "text"),
        }))


asyncio.run(main(*sys.argv[1:]))

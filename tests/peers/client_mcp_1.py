"""Lists the tools of an MCP server and calls one, with the PyPI package `mcp` 1: prints one line of JSON.

Usage: client_mcp_1.py URL TOOL ARGUMENTS CA [CERTIFICATE KEY]
"""

import asyncio
import json
import ssl
import sys

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main(url, tool, arguments, ca, *identity):
    context = ssl.create_default_context(cafile=ca)
    if identity:
        context.load_cert_chain(*identity)
    async with httpx.AsyncClient(verify=context, trust_env=False) as http:
        async with streamable_http_client(url, http_client=http) as (read, write, _):
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

"""Lists the tools of an MCP server and calls one, with the PyPI package `mcp` 2: prints one line of JSON.

Usage: client_mcp_2.py ERA URL TOOL ARGUMENTS CA [CERTIFICATE KEY]
ERA is `legacy` (the initialize handshake), `2026-07-28` (a revision without it), or `auto` (whichever it is).
"""

import asyncio
import json
import ssl
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(era, url, tool, arguments, ca, *identity):
    context = ssl.create_default_context(cafile=ca)
    if identity:
        context.load_cert_chain(*identity)
    async with httpx2.AsyncClient(verify=context, trust_env=False) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=era) as client:
            tools = await client.list_tools()
            result = await client.call_tool(tool, json.loads(arguments))
            print(json.dumps({
                "protocol": client.protocol_version,
                "tools": [tool.name for tool in tools.tools],
                "is_error": bool(result.is_error),
                "text": "".join(part.text for part in result.content if part.type == "text"),
            }))


asyncio.run(main(*sys.argv[1:]))

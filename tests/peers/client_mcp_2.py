"""Lists the tools of an MCP server and calls one, with the PyPI package `mcp` 2: prints one line of JSON.

Usage: client_mcp_2.py ERA URL TOOL ARGUMENTS CA [CERTIFICATE KEY]
ERA is `legacy` (the initialize handshake), `2026-07-28` (a revision without it), or `auto` (whichever it is).
With CANCEL_AFTER, in seconds, it cancels the call and makes another, of the tool `test_simple_text`.
"""

import asyncio
import json
import os
import ssl
import sys

import anyio
import httpx2
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client


async def sample(context, params):
    content = types.TextContent(type="text", text=f"sampled {params.messages[0].content.text}")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def elicit(context, params):
    return types.ElicitResult(action="accept", content={"username": "alice", "email": "alice@example.org"})


async def main(era, url, tool, arguments, ca, *identity):
    context = ssl.create_default_context(cafile=ca)
    if identity:
        context.load_cert_chain(*identity)
    progress = []

    async def note(done, total, message):
        progress.append(done)

    async with httpx2.AsyncClient(verify=context, trust_env=False, timeout=60) as http:
        handlers = {"sampling_callback": sample, "elicitation_callback": elicit}
        async with Client(streamable_http_client(url, http_client=http), mode=era, **handlers) as client:
            tools = await client.list_tools()
            if after := os.environ.get("CANCEL_AFTER"):
                with anyio.move_on_after(float(after)):
                    await client.call_tool(tool, json.loads(arguments))
                result = await client.call_tool("test_simple_text", {})
            else:
                result = await client.call_tool(tool, json.loads(arguments), progress_callback=note)
            print(json.dumps({
                "protocol": client.protocol_version,
                "tools": [tool.name for tool in tools.tools],
                "is_error": bool(result.is_error),
                "text": "".join(part.text for part in result.content if part.type == "text"),
                "progress": progress,
            }))


asyncio.run(main(*sys.argv[1:]))

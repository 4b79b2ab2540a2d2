"""Lists the tools of an MCP server and calls one, with the PyPI package `mcp` 1: prints one line of JSON.

Usage: client_mcp_1.py URL TOOL ARGUMENTS CA [CERTIFICATE KEY]
With CANCEL_AFTER, in seconds, it cancels the call and makes another, of the tool `test_simple_text`.
"""

import asyncio
import json
import os
import ssl
import sys
from datetime import timedelta

import httpx
from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamable_http_client


async def sample(context, params):
    content = types.TextContent(type="text", text=f"sampled {params.messages[0].content.text}")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def elicit(context, params):
    return types.ElicitResult(action="accept", content={"username": "alice", "email": "alice@example.org"})


async def cancel(session, tool, arguments, after):
    try:
        await session.call_tool(tool, arguments, read_timeout_seconds=timedelta(seconds=after))
    except McpError:
        params = types.CancelledNotificationParams(requestId=session._request_id - 1)
        await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
    return await session.call_tool("test_simple_text", {})


async def main(url, tool, arguments, ca, *identity):
    context = ssl.create_default_context(cafile=ca)
    if identity:
        context.load_cert_chain(*identity)
    progress = []

    async def note(done, total, message):
        progress.append(done)

    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as http:
        async with streamable_http_client(url, http_client=http) as (read, write, _):
            handlers = {"sampling_callback": sample, "elicitation_callback": elicit}
            async with ClientSession(read, write, **handlers) as session:
                initialized = await session.initialize()
                tools = await session.list_tools()
                if after := os.environ.get("CANCEL_AFTER"):
                    result = await cancel(session, tool, json.loads(arguments), float(after))
                else:
                    result = await session.call_tool(tool, json.loads(arguments), progress_callback=note)
                print(json.dumps({
                    "protocol": initialized.protocolVersion,
                    "tools": [tool.name for tool in tools.tools],
                    "is_error": bool(result.isError),
                    "text": "".join(part.text for part in result.content if part.type == "text"),
                    "progress": progress,
                }))


asyncio.run(main(*sys.argv[1:]))

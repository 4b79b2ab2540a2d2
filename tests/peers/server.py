"""An MCP server of the PyPI package `mcp` 1 that has all that the conformance suite asks for, and tools that misbehave.

Usage: server.py stdio|http. Over HTTP it listens on 127.0.0.1, and says at which port in one line: {"port": N}.
"""

import asyncio
import base64
import json
import os
import socket
import sys
from uuid import uuid4

import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.prompts.base import UserMessage
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    ImageContent,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVE").decode()
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)],
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]},
        },
    },
}
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}


class Events(EventStore):
    """So that streams can be resumed."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((str(uuid4()), stream_id, message))
        return self.events[-1][0]

    async def replay_events_after(self, last_event_id, send_callback):
        ids = [event[0] for event in self.events]
        if last_event_id not in ids:
            return None
        start = ids.index(last_event_id)
        stream = self.events[start][1]
        for event_id, of, message in self.events[start + 1 :]:
            if of == stream and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream


server = FastMCP("conformance", event_store=Events(), retry_interval=100, log_level="ERROR")


def tool(function):
    return server.tool(structured_output=False, description=function.__name__)(function)


def prompt(function):
    return server.prompt(description=function.__name__)(function)


def image():
    return ImageContent(type="image", data=PNG, mimeType="image/png")


def resource(uri, text, kind="text/plain"):
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mimeType=kind, text=text))


@tool
def test_simple_text():
    return "This is a simple text response for testing."


@tool
def test_image_content():
    return [image()]


@tool
def test_audio_content():
    return [AudioContent(type="audio", data=WAV, mimeType="audio/wav")]


@tool
def test_embedded_resource():
    return [resource("test://embedded-resource", "This is an embedded resource content.")]


@tool
def test_multiple_content_types():
    data = json.dumps({"test": "data", "value": 123})
    text = TextContent(type="text", text="Multiple content types test:")
    return [text, image(), resource("test://mixed-content-resource", data, "application/json")]


@tool
async def test_tool_with_logging(ctx: Context):
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(line)
        await asyncio.sleep(0.05)
    return "done"


@tool
async def test_tool_with_progress(ctx: Context):
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
        await asyncio.sleep(0.05)
    return "done"


@tool
def test_error_handling():
    raise ValueError("This tool intentionally returns an error for testing")


@tool
async def test_sampling(prompt: str, ctx: Context):
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message(
        messages=[message], max_tokens=100, related_request_id=ctx.request_id
    )
    return f"LLM response: {answer.content.text}"


async def ask(ctx, message, schema):
    return await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)


@tool
async def test_elicitation(message: str, ctx: Context):
    properties = {"username": {"type": "string"}, "email": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": ["username", "email"]}
    answer = await ask(ctx, message, schema)
    return f"User response: {answer.action}, {json.dumps(answer.content)}"


@tool
async def test_elicitation_sep1034_defaults(ctx: Context):
    answer = await ask(ctx, "defaults", DEFAULTS)
    return f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}"


@tool
async def test_elicitation_sep1330_enums(ctx: Context):
    answer = await ask(ctx, "enums", ENUMS)
    return f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}"


@tool
async def test_reconnection(ctx: Context):
    await asyncio.sleep(0.1)
    await ctx.close_sse_stream()
    await asyncio.sleep(0.1)
    return "Reconnection test completed"


@server.resource("test://static-text", mime_type="text/plain")
def static_text():
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary():
    return base64.b64decode(PNG)


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str):
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@server.resource("test://watched-resource", mime_type="text/plain")
def watched():
    return "Watched"


@prompt
def test_simple_prompt() -> list:
    return [UserMessage(TextContent(type="text", text="This is a simple prompt for testing."))]


@prompt
def test_prompt_with_arguments(arg1: str, arg2: str) -> list:
    return [UserMessage(TextContent(type="text", text=f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]


@prompt
def test_prompt_with_embedded_resource(resourceUri: str) -> list:
    content = resource(resourceUri, "Embedded resource content for testing.")
    return [UserMessage(content), UserMessage(TextContent(type="text", text="Please process the embedded resource above."))]


@prompt
def test_prompt_with_image() -> list:
    return [UserMessage(image()), UserMessage(TextContent(type="text", text="Please analyze the image above."))]


@server.completion()
async def complete(ref, argument, context):
    return Completion(values=["paris", "park", "party"], total=150, hasMore=False)


lowlevel = server._mcp_server


@lowlevel.set_logging_level()
async def set_level(level):
    pass


@lowlevel.subscribe_resource()
async def subscribe(uri):
    pass


@lowlevel.unsubscribe_resource()
async def unsubscribe(uri):
    pass


@tool
def big(bytes: int):
    return "x" * bytes


@tool
async def sleep(seconds: float):
    await asyncio.sleep(seconds)
    return "slept"


@tool
def die():
    os._exit(3)


def http():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


if sys.argv[1] == "http":
    http()
else:
    server.run("stdio")

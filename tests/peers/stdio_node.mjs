// Lists the tools of an MCP server and calls one, with the npm package `@modelcontextprotocol/client` 2, or, as ERA
// `sdk-1`, with `@modelcontextprotocol/sdk` 1: prints one line of JSON.
//
// Usage: stdio_node.mjs ERA TOOL ARGUMENTS COMMAND...
// ERA is `legacy` (the initialize handshake), `2026-07-28` (a revision without it), or `auto` (whichever it is). The
// command is the server, spoken to over its standard input and output.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages are not beside this file but where the tests put what they download.
const require = createRequire(`${process.env.PEERS}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const [era, tool, toolArguments, command, ...args] = process.argv.slice(2);
const isOld = era === "sdk-1";
const { Client } = await load(isOld ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client");
const { StdioClientTransport } = await load(
  isOld ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio",
);
const transport = new StdioClientTransport({ command, args });
// The SDK of version 1 tells only its transport what was agreed on.
let agreed;
if (isOld) transport.setProtocolVersion = (version) => (agreed = version);
const versionNegotiation = { mode: era.startsWith("20") ? { pin: era } : era };
const client = new Client({ name: "portcullis-tests", version: "1.0.0" }, { versionNegotiation });
await client.connect(transport);
const { tools } = await client.listTools();
const result = await client.callTool({ name: tool, arguments: JSON.parse(toolArguments) });
console.log(
  JSON.stringify({
    protocol: isOld ? agreed : client.getNegotiatedProtocolVersion(),
    tools: tools.map(({ name }) => name),
    is_error: Boolean(result.isError),
    text: result.content.map((part) => part.text ?? "").join(""),
  }),
);
await client.close();

// Lists the tools of an MCP server and calls one, with the npm package `@modelcontextprotocol/client`: prints one
// line of JSON.
//
// Usage: client_node.mjs ERA URL TOOL ARGUMENTS CA [CERTIFICATE KEY]
// ERA is `legacy` (the initialize handshake), `2026-07-28` (a revision without it), or `auto` (whichever it is).

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages are not beside this file but where the tests put what they download.
const require = createRequire(`${process.env.PEERS}/`);
const { Client, StreamableHTTPClientTransport } = await import(
  pathToFileURL(require.resolve("@modelcontextprotocol/client"))
);
const { Agent, fetch } = require("undici");

const [era, url, tool, toolArguments, ca, certificate, key] = process.argv.slice(2);
const dispatcher = new Agent({
  connect: {
    ca: readFileSync(ca),
    cert: certificate && readFileSync(certificate),
    key: key && readFileSync(key),
  },
});
const transport = new StreamableHTTPClientTransport(new URL(url), {
  fetch: (target, init) => fetch(target, { ...init, dispatcher }),
});
const versionNegotiation = { mode: era.startsWith("20") ? { pin: era } : era };
const client = new Client({ name: "portcullis-tests", version: "1.0.0" }, { versionNegotiation });
await client.connect(transport);
const { tools } = await client.listTools();
const result = await client.callTool({ name: tool, arguments: JSON.parse(toolArguments) });
console.log(
  JSON.stringify({
    protocol: transport.protocolVersion,
    tools: tools.map(({ name }) => name),
    is_error: Boolean(result.isError),
    text: result.content.map((part) => part.text ?? "").join(""),
  }),
);
await client.close();
await dispatcher.close();

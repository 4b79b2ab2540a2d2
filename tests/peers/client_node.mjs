// Lists the tools of an MCP server and calls one, with the npm package `@modelcontextprotocol/client` 2, or, as ERA
// `sdk-1`, with `@modelcontextprotocol/sdk` 1: prints one line of JSON.
//
// Usage: client_node.mjs ERA URL TOOL ARGUMENTS CA [CERTIFICATE KEY]
// ERA is `legacy` (the initialize handshake), `2026-07-28` (a revision without it), or `auto` (whichever it is).
// With CANCEL_AFTER, in seconds, it cancels the call and makes another, of the tool `test_simple_text`.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages are not beside this file but where the tests put what they download.
const require = createRequire(`${process.env.PEERS}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { Agent, fetch } = require("undici");

const [era, url, tool, toolArguments, ca, certificate, key] = process.argv.slice(2);
const dispatcher = new Agent({
  connect: {
    ca: readFileSync(ca),
    cert: certificate && readFileSync(certificate),
    key: key && readFileSync(key),
  },
});
const options = { fetch: (target, init) => fetch(target, { ...init, dispatcher }) };
const capabilities = { sampling: {}, elicitation: {} };
const info = { name: "portcullis-tests", version: "1.0.0" };
const sample = async ({ params }) => ({
  role: "assistant",
  content: { type: "text", text: `sampled ${params.messages[0].content.text}` },
  model: "none",
});
const elicit = async () => ({ action: "accept", content: { username: "alice", email: "alice@example.org" } });

async function connect() {
  if (era === "sdk-1") {
    const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
    const http = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const types = await load("@modelcontextprotocol/sdk/types.js");
    const client = new Client(info, { capabilities });
    client.setRequestHandler(types.CreateMessageRequestSchema, sample);
    client.setRequestHandler(types.ElicitRequestSchema, elicit);
    const transport = new http.StreamableHTTPClientTransport(new URL(url), options);
    await client.connect(transport);
    return { client, transport, call: (call, options) => client.callTool(call, undefined, options) };
  }
  const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
  const versionNegotiation = { mode: era.startsWith("20") ? { pin: era } : era };
  const client = new Client(info, { versionNegotiation, capabilities });
  client.setRequestHandler("sampling/createMessage", sample);
  client.setRequestHandler("elicitation/create", elicit);
  const transport = new StreamableHTTPClientTransport(new URL(url), options);
  await client.connect(transport);
  return { client, transport, call: (call, options) => client.callTool(call, options) };
}

const { client, transport, call } = await connect();
const { tools } = await client.listTools();
const wanted = { name: tool, arguments: JSON.parse(toolArguments) };
const progress = [];
let result;
if (process.env.CANCEL_AFTER) {
  const signal = AbortSignal.timeout(Number(process.env.CANCEL_AFTER) * 1000);
  await call(wanted, { signal }).catch(() => {});
  result = await call({ name: "test_simple_text", arguments: {} });
} else {
  result = await call(wanted, { onprogress: (done) => progress.push(done.progress) });
}
console.log(
  JSON.stringify({
    protocol: transport.protocolVersion,
    tools: tools.map(({ name }) => name),
    is_error: Boolean(result.isError),
    text: result.content.map((part) => part.text ?? "").join(""),
    progress,
  }),
);
await client.close();
await dispatcher.close();

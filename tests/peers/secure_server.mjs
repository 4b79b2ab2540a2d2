// A server that speaks HTTP/2 and HTTP/1.1 over TLS to clients of one authority only, and answers every request with the
// version of HTTP and the name of its client.
//
// Usage: secure_server.mjs CERTIFICATE KEY CLIENTS_CA. It listens on 127.0.0.1, and says at which port: {"port":N}.

import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";

const [cert, key, ca] = process.argv.slice(2).map((file) => readFileSync(file));
const options = { cert, key, ca, requestCert: true, rejectUnauthorized: true, allowHTTP1: true };
const server = createSecureServer(options, (request, response) => {
  const socket = request.stream?.session?.socket ?? request.socket;
  const result = { http: request.httpVersion, client: socket.getPeerCertificate().subject.CN };
  request.resume().on("end", () => {
    response.setHeader("content-type", "application/json");
    response.end(`${JSON.stringify({ jsonrpc: "2.0", id: 7, result })}\n`);
  });
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));

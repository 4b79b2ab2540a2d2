// For `node --require`: a server that would listen on all addresses listens on 127.0.0.1 only, and says at which port
// in one line on its standard output, as `{"port":N}`.

const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...others) {
  this.once("listening", () => console.log(JSON.stringify({ port: this.address().port })));
  const callback = others.find((other) => typeof other === "function");
  return listen.call(this, { host: "127.0.0.1", port: Number(port) }, callback);
};

// Checks cert-manager's resources in a JSON list on standard input against its published schemas, and prints how many
// there were.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

// The packages are not beside this file but where the tests put what they download.
const models = `${process.env.PEERS}/node_modules/@kubernetes-models/cert-manager/cert-manager.io/v1/index.js`;
const kinds = await import(pathToFileURL(models));

const manifests = JSON.parse(readFileSync(0, "utf8"));
const resources = manifests.filter(({ apiVersion }) => apiVersion === "cert-manager.io/v1");
for (const resource of resources) {
  new kinds[resource.kind](resource).validate();
}
console.log(resources.length);

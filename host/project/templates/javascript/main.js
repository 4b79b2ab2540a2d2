// Accepts a client whose certificate carries one of the DNS names of the settings, and names the client after it.

// JSON Schema (2020-12): the gate checks the settings against it before `configure` sees them.
const SETTINGS_SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["dns-names"],
  properties: {
    "dns-names": {
      description: "The DNS names of those who may come in.",
      type: "array",
      items: { type: "string" },
      minItems: 1,
    },
  },
};

/** Makes any exception the contract's error, which the operator reads; otherwise it may end the component. */
function explained(work) {
  try {
    return work();
  } catch (error) {
    throw error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

export function describe() {
  return {
    name: "my-policy",
    version: "0.1.0",
    summary: "The client's certificate carries a DNS name of the settings.",
    settingsSchema: JSON.stringify(SETTINGS_SCHEMA),
    assets: [],
    rejectionCodes: ["name-not-listed"],
  };
}

// What `configure` leaves is made once, at load; every `evaluate` starts from it, in an instance of its own.
let dnsNames = [];

export function configure(settings, assets) {
  return explained(() => {
    dnsNames = JSON.parse(settings)["dns-names"];
  });
}

export function evaluate(handshake) {
  return explained(() => {
    const [leaf] = handshake.chain();
    const ofClient = leaf.subjectAltNames().filter((name) => name.kind === "dns").map((name) => name.text);
    const inLowerCase = ofClient.map((name) => name.toLowerCase());
    const principal = dnsNames.find((name) => inLowerCase.includes(name.toLowerCase()));
    if (principal === undefined) {
      const detail = `none of [${ofClient.join(", ")}] is listed`;
      return { tag: "reject", val: { code: "name-not-listed", detail } };
    }
    return { tag: "accept", val: { principal, attributes: [], validUntil: undefined } };
  });
}

// Lets clients of one organisational unit in, and tells which. Built with componentize-qjs 0.4.5: --sync --minify.

const ORGANIZATIONAL_UNIT = "2.5.4.11";
const SETTINGS_SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["unit"],
  properties: { unit: { type: "string", minLength: 1 } },
};

let unit;

export function describe() {
  return {
    name: "unit",
    version: "1.0.0",
    summary: "The client's certificate names the organisational unit of the settings.",
    settingsSchema: JSON.stringify(SETTINGS_SCHEMA),
    assets: [],
    rejectionCodes: ["other-unit"],
  };
}

export function configure(settings) {
  unit = JSON.parse(settings).unit;
}

export function evaluate(handshake) {
  const [leaf] = handshake.chain();
  const units = leaf.subjectNames().filter((name) => name.oid === ORGANIZATIONAL_UNIT).map((name) => name.text);
  if (!units.includes(unit)) {
    return { tag: "reject", val: { code: "other-unit", detail: `the units are ${JSON.stringify(units)}` } };
  }
  // The engine's clock is the handshake's.
  const attributes = [
    { name: "unit", value: unit },
    { name: "clock", value: String(Date.now() / 1000 - Number(handshake.time())) },
  ];
  return { tag: "accept", val: { principal: undefined, attributes, validUntil: undefined } };
}

// Accepts a client whose organizational unit belongs to one team, and says which. See the README for what that proves.

const ORGANIZATIONAL_UNIT = "2.5.4.11";

const NO_UNIT = "no-unit";
const SEVERAL_TEAMS = "several-teams";
const UNIT_NOT_MAPPED = "unit-not-mapped";

const SETTINGS_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Settings of team-of-unit",
  type: "object",
  additionalProperties: false,
  properties: {
    unmapped: {
      description: "A client of no mapped unit is refused, or comes in without a team.",
      enum: ["reject", "accept"],
      default: "reject",
    },
  },
};

export function describe() {
  return {
    name: "team-of-unit",
    version: "0.1.0",
    summary: "The client's organizational unit belongs to one team.",
    settingsSchema: JSON.stringify(SETTINGS_SCHEMA),
    assets: ["teams"],
    rejectionCodes: [NO_UNIT, SEVERAL_TEAMS, UNIT_NOT_MAPPED],
  };
}

let unmapped = "reject";
let teams = new Map();

export function configure(settings, assets) {
  return explained(() => {
    unmapped = JSON.parse(settings).unmapped ?? "reject";
    teams = parseTeams(text(assets.find((asset) => asset.name === "teams").content));
  });
}

export function evaluate(handshake) {
  return explained(() => {
    const [leaf] = handshake.chain();
    const units = leaf.subjectNames().filter((name) => name.oid === ORGANIZATIONAL_UNIT).map((name) => name.text);
    return judge(units);
  });
}

function judge(units) {
  const named = [...new Set(units.filter((unit) => teams.has(unit)).map((unit) => teams.get(unit)))];
  if (named.length > 1) {
    return reject(SEVERAL_TEAMS, `its units belong to the teams ${named.join(", ")}`);
  }
  if (named.length === 1) {
    return accept([{ name: "team-of-unit.team", value: named[0] }]);
  }
  if (unmapped === "accept") {
    return accept([]);
  }
  return units.length === 0
    ? reject(NO_UNIT, "its subject has no organizational unit")
    : reject(UNIT_NOT_MAPPED, `no team has the unit ${units.join(" or ")}`);
}

/** Lines of `unit = team`; `#` begins a comment. */
function parseTeams(content) {
  const teams = new Map();
  content.split(/\r?\n/).forEach((line, index) => {
    const entry = line.replace(/#.*/, "").trim();
    if (entry === "") return;
    const parts = entry.split("=").map((part) => part.trim());
    if (parts.length !== 2 || parts.includes("")) {
      throw `asset \`teams\`, line ${index + 1}: expected \`unit = team\``;
    }
    const [unit, team] = parts;
    if (teams.has(unit)) {
      throw `asset \`teams\`, line ${index + 1}: the unit \`${unit}\` stands there twice`;
    }
    teams.set(unit, team);
  });
  return teams;
}

function accept(attributes) {
  return { tag: "accept", val: { principal: undefined, attributes, validUntil: undefined } };
}

function reject(code, detail) {
  return { tag: "reject", val: { code, detail } };
}

/** UTF-8 to text, for QuickJS has no TextDecoder. Other bytes are an exception. */
function text(bytes) {
  const escapes = Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, "0")}`);
  return decodeURIComponent(escapes.join(""));
}

/** Makes any exception the contract's error, which the operator reads; otherwise it may end the component. */
function explained(work) {
  try {
    return work();
  } catch (error) {
    throw error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020";
import { describe, expect, it } from "vitest";
import { generate } from "../protocol.mjs";
import { golden, goldenNames } from "./testing/wire";

const read = (path: string) => readFileSync(join(import.meta.dirname, path), "utf8");
const schema = JSON.parse(read("../protocol.schema.json"));
const ajv = new Ajv2020({ strict: false, validateFormats: false }).addSchema(schema, "protocol");

function problems(pointer: string, message: unknown) {
  const validate = ajv.getSchema(`protocol#/${pointer}`);
  if (validate === undefined) throw new Error(`the schema has no ${pointer}`);
  validate(message);
  return validate.errors ?? [];
}

it("protocol.gen.ts is what the schema generates", async () => {
  expect(read("./protocol.gen.ts")).toBe(await generate());
});

describe("golden messages fit the schema", () => {
  const kinds = Object.keys(schema.$defs.Results.properties);

  it.each(kinds)("request %s", (kind) => {
    const request = golden(`request_${kind}`);
    expect(problems("properties/request", request)).toEqual([]);
    expect(request["kind"]).toBe(kind);
  });

  it.each(kinds)("reply %s", (kind) => {
    const { ok, result } = golden(`reply_${kind}`);
    expect(ok).toBe(true);
    expect(problems(`$defs/Results/properties/${kind}`, result)).toEqual([]);
  });

  it.each(goldenNames("failure"))("%s", (name) => {
    expect(problems("$defs/Failure", golden(name))).toEqual([]);
  });

  it.each(goldenNames("event_"))("%s", (name) => {
    expect(problems("properties/event", golden(name))).toEqual([]);
  });

  it("state", () => {
    expect(problems("$defs/PanelState", golden("state"))).toEqual([]);
  });

  it("an unknown field does not fit", () => {
    expect(problems("properties/request", { ...golden("request_ping"), more: 1 })).not.toEqual([]);
  });
});

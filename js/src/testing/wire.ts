/** The golden messages, which pytest reads too. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type {
  DatasetCard,
  DatasetRecord,
  DownloadPlan,
  JobSnapshot,
  PanelState,
  TokenizationChip,
  TokenizationRecord,
} from "../protocol.gen";

const folder = join(import.meta.dirname, "../../../tests/wire");

export function goldenNames(prefix: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length));
}

function read<Message>(name: string): Message {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Message;
}

export const golden = (name: string) => read<Record<string, unknown>>(name);

export const goldenState = () => read<PanelState>("state");

export function goldenRecord(): DatasetRecord {
  return read<{ result: DatasetRecord }>("reply_get_dataset").result;
}

export function aCard(change: Partial<DatasetCard> = {}): DatasetCard {
  const [card] = goldenState().datasets;
  if (card === undefined) throw new Error("the golden state has no dataset");
  return { ...card, status: "ready", ...change };
}

export function aChip(change: Partial<TokenizationChip> = {}): TokenizationChip {
  const [chip] = aCard().tokenizations;
  if (chip === undefined) throw new Error("the golden dataset has no tokenization");
  return { ...chip, ...change };
}

export function aJob(change: Partial<JobSnapshot> = {}): JobSnapshot {
  const [job] = goldenState().jobs;
  if (job === undefined) throw new Error("the golden state has no job");
  return { ...job, ...change };
}

export function aPlan(change: Partial<DownloadPlan> = {}): DownloadPlan {
  return { ...read<{ result: DownloadPlan }>("reply_plan_download").result, ...change };
}

export function aTokenization(change: Partial<TokenizationRecord> = {}): TokenizationRecord {
  const [record] = read<{ result: TokenizationRecord[] }>("reply_list_tokenizations").result;
  if (record === undefined) throw new Error("the golden reply has no tokenization");
  return { ...record, ...change };
}

/** The golden messages, which pytest reads too. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type {
  ColumnStatistics,
  DatasetCard,
  DatasetRecord,
  DownloadPlan,
  IndexStatus,
  JobSnapshot,
  PageDataFile,
  PageSample,
  PanelState,
  Sample,
  TokenizationChip,
  TokenizationRecord,
  TokenPreview,
  TokenView,
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

/** The result of a golden reply. */
function result<Result>(kind: string): Result {
  return read<{ result: Result }>(`reply_${kind}`).result;
}

export function aPage(change: Partial<PageSample> = {}): PageSample {
  return { ...result<PageSample>("samples"), ...change };
}

export function aSample(change: Partial<Sample> = {}): Sample {
  const [sample] = aPage().items;
  if (sample === undefined) throw new Error("the golden page has no sample");
  return { ...sample, ...change };
}

export const aFilePage = (change: Partial<PageDataFile> = {}): PageDataFile => ({
  ...result<PageDataFile>("list_files"),
  ...change,
});

export const aTokenView = (change: Partial<TokenView> = {}): TokenView => ({
  ...result<TokenView>("sample_tokens"),
  ...change,
});

export const aPreview = (change: Partial<TokenPreview> = {}): TokenPreview => ({
  ...result<TokenPreview>("preview_tokens"),
  ...change,
});

export const anIndexStatus = (change: Partial<IndexStatus> = {}): IndexStatus => ({
  ...result<IndexStatus>("index_status"),
  ...change,
});

export const columnStatistics = () => result<ColumnStatistics>("column_statistics");

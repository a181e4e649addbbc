/** What is searched for among samples. */

import { useId } from "react";
import { formatCount } from "./format";
import type { TokenizationRecord } from "./protocol.gen";
import { nameTokenization } from "./tokenizations";
import { classes } from "./ui";

const MAX_SEARCH_CHARS = 1000;

export interface Filters {
  search: string;
  split: string;
  min: string;
  max: string;
  /** Whose tokens count; "" is the newest. */
  tokenization: string;
}

export const NO_FILTERS: Filters = { search: "", split: "", min: "", max: "", tokenization: "" };

/** null for none, undefined for what is no number. */
export function integerOf(text: string): number | null | undefined {
  if (text.trim() === "") return null;
  return /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined;
}

export function isFiltered({ search, split, min, max }: Filters): boolean {
  return [search, split, min, max].some((text) => text.trim() !== "");
}

interface FilterProps {
  filters: Filters;
  onChange: (changed: Partial<Filters>) => void;
}

const FIELD = classes(
  "rounded-lg border border-slate-700 bg-slate-900 px-4 py-2 placeholder:text-gray-400",
  "focus:border-emerald-500 focus:outline-none",
);

export interface FilterRowProps extends FilterProps {
  /** Names and rows of the splits. */
  splits: Readonly<Record<string, number>>;
}

export function FilterRow({ splits, filters, onChange }: FilterRowProps) {
  const id = useId();
  return (
    <div>
      <div data-part="samples.filters" className="flex gap-3">
        <input
          type="text"
          data-part="samples.search"
          aria-label="Search in dataset samples"
          aria-describedby={id}
          placeholder="Search in samples..."
          autoComplete="off"
          maxLength={MAX_SEARCH_CHARS}
          value={filters.search}
          onChange={(event) => onChange({ search: event.target.value })}
          className={classes("min-w-0 flex-1", FIELD)}
        />
        <select
          data-part="samples.select"
          aria-label="Filter by dataset split"
          value={filters.split}
          onChange={(event) => onChange({ split: event.target.value })}
          className={classes("max-w-[40%]", FIELD)}
        >
          <option value="">All Splits</option>
          {Object.entries(splits).map(([split, rows]) => (
            <option key={split} value={split}>
              {split} ({formatCount(rows)})
            </option>
          ))}
        </select>
      </div>
      <p id={id} className="mt-2 text-xs text-slate-400">
        All words must occur. "a phrase", begin*, -without, this OR that
      </p>
    </div>
  );
}

export interface RangeRowProps extends FilterProps {
  ready: readonly TokenizationRecord[];
  counted: TokenizationRecord | null;
}

export function RangeRow({ ready, counted, filters, onChange }: RangeRowProps) {
  const unit = counted === null ? "characters" : "tokens";
  return (
    <div
      data-part="samples.range"
      className="flex flex-wrap items-center gap-2 text-sm text-slate-400"
    >
      <RangeField
        label={`At least ${unit}`}
        value={filters.min}
        onChange={(min) => onChange({ min })}
      />
      to
      <RangeField
        label={`At most ${unit}`}
        value={filters.max}
        onChange={(max) => onChange({ max })}
      />
      {unit}
      {ready.length > 1 && (
        <select
          aria-label="Tokens counted by"
          value={counted?.id}
          onChange={(event) => onChange({ tokenization: event.target.value })}
          className="max-w-64 rounded border border-slate-700 bg-slate-900 px-2 py-1 text-slate-100 focus:border-emerald-500 focus:outline-none"
        >
          {ready.map((record) => (
            <option key={record.id} value={record.id}>
              {nameTokenization(record)}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}

interface RangeFieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
}

function RangeField({ label, value, onChange }: RangeFieldProps) {
  const isWrong = integerOf(value) === undefined;
  return (
    <input
      type="text"
      inputMode="numeric"
      aria-label={label}
      aria-invalid={isWrong || undefined}
      placeholder="any"
      autoComplete="off"
      value={value}
      onChange={(event) => onChange(event.target.value)}
      className={classes(
        "w-20 rounded border bg-slate-900 px-2 py-1 text-center text-slate-100",
        "placeholder:text-gray-400 focus:border-emerald-500 focus:outline-none",
        isWrong ? "border-red-500" : "border-slate-700",
      )}
    />
  );
}

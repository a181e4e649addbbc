/** What is searched for among samples. */

import { useId } from "react";
import type { TokenizationRecord } from "../protocol.gen";
import { nameTokenization } from "../tokenization/tokenizations";
import { formatCount } from "../ui/format";
import { classes } from "../ui/ui";

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

export interface RangeErrors {
  min?: string;
  max?: string;
}

/** What is wrong with the range, by field; empty when it can be asked for. */
export function checkRange({ min, max }: Filters, unit: string): RangeErrors {
  const [least, most] = [integerOf(min), integerOf(max)];
  const problem = "must be a whole number, written in digits (at most 15)";
  const errors: RangeErrors = {
    ...(least === undefined && { min: `At least: ${problem}` }),
    ...(most === undefined && { max: `At most: ${problem}` }),
  };
  if (typeof least === "number" && typeof most === "number" && least > most) {
    const [from, to] = [formatCount(least), formatCount(most)];
    errors.max = `No sample has at least ${from} and at most ${to} ${unit}`;
  }
  return errors;
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
  unit: string;
  errors: RangeErrors;
}

export function RangeRow(props: RangeRowProps) {
  const { ready, counted, unit, errors, filters, onChange } = props;
  const id = useId();
  return (
    <div
      data-part="samples.range"
      className="flex flex-wrap items-center gap-2 text-sm text-slate-400"
    >
      <RangeField
        label={`At least ${unit}`}
        value={filters.min}
        error={errors.min}
        errorId={`${id}-min`}
        onChange={(min) => onChange({ min })}
      />
      to
      <RangeField
        label={`At most ${unit}`}
        value={filters.max}
        error={errors.max}
        errorId={`${id}-max`}
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
      <FieldError id={`${id}-min`} error={errors.min} />
      <FieldError id={`${id}-max`} error={errors.max} />
    </div>
  );
}

function FieldError({ id, error }: { id: string; error: string | undefined }) {
  if (error === undefined) return null;
  return (
    <p id={id} role="alert" className="w-full text-xs text-red-400">
      {error}
    </p>
  );
}

interface RangeFieldProps {
  label: string;
  value: string;
  error: string | undefined;
  errorId: string;
  onChange: (value: string) => void;
}

function RangeField({ label, value, error, errorId, onChange }: RangeFieldProps) {
  const isWrong = error !== undefined;
  return (
    <input
      type="text"
      inputMode="numeric"
      aria-label={label}
      aria-invalid={isWrong || undefined}
      aria-describedby={isWrong ? errorId : undefined}
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

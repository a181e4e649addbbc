/** How figures are written. A value that is not known is an en dash, never a made-up number. */

import type { JobSnapshot } from "../protocol.gen";

export const UNKNOWN = "–";

const SIZE_UNITS = ["B", "KB", "MB", "GB", "TB"] as const;
const COUNT = { maximumFractionDigits: 0 } as const;
const ONE_DECIMAL = { maximumFractionDigits: 1 } as const;
// the mock writes 1023 B
const SIZE = { maximumFractionDigits: 2, useGrouping: false } as const;
const PERCENT = {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
} as const;
const SHARE = { style: "percent", maximumFractionDigits: 1 } as const;
const TIME = { dateStyle: "medium", timeStyle: "short" } as const;

/** How the reader's browser writes numbers and dates; what it does not know, it writes its own way. */
function readersLocale(): string | undefined {
  try {
    return Intl.getCanonicalLocales(navigator.language)[0];
  } catch {
    return undefined;
  }
}

const numberFormats = new Map<string, Intl.NumberFormat>();

// making a format takes longer than a hundred uses of it
function writeNumber(value: number, options: Intl.NumberFormatOptions): string {
  const locale = readersLocale();
  const key = `${locale} ${JSON.stringify(options)}`;
  let format = numberFormats.get(key);
  if (format === undefined) {
    format = new Intl.NumberFormat(locale, options);
    numberFormats.set(key, format);
  }
  return format.format(value);
}

/** Steps of 1024, at most two decimals, none that are zero: 1536000 is "1.46 MB". */
export function formatBytes(bytes: number | null): string {
  if (bytes === null) return UNKNOWN;
  let value = bytes;
  let unit = 0;
  // 1023.996 KB would be rounded to "1024 KB"
  while (Number(value.toFixed(2)) >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${writeNumber(value, SIZE)} ${SIZE_UNITS[unit]}`;
}

export function formatCount(count: number | null): string {
  return count === null ? UNKNOWN : writeNumber(count, COUNT);
}

/** A mean or a rate: one decimal below a thousand, none above. */
export function formatDecimal(value: number | null): string {
  if (value === null) return UNKNOWN;
  return writeNumber(value, Math.abs(value) < 1000 ? ONE_DECIMAL : COUNT);
}

/** One decimal, and 100.0% only when it is. */
export function formatPercent(percent: number): string {
  const clamped = clampPercent(percent);
  return writeNumber((clamped < 100 ? Math.min(clamped, 99.9) : 100) / 100, PERCENT);
}

/** A part of a whole, which may well round to all of it: "80%", "0.3%". */
export function formatShare(percent: number): string {
  return writeNumber(percent / 100, SHARE);
}

export function clampPercent(percent: number): number {
  return Number.isFinite(percent) ? Math.min(Math.max(percent, 0), 100) : 0;
}

/** "45s", "3m 20s", "2h 5m", "3d 4h". */
export function formatDuration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return UNKNOWN;
  const whole = Math.max(Math.round(seconds), 0);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  const hours = Math.floor(whole / 3600);
  if (hours < 24) return `${hours}h ${Math.floor((whole % 3600) / 60)}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** A date as its reader writes it; the wire carries UTC. */
export function formatTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return UNKNOWN;
  return time.toLocaleString(readersLocale(), TIME);
}

export function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
}

export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

const SOURCES: Readonly<Record<string, string>> = { huggingface: "HuggingFace" };

export function formatSource(source: string): string {
  return SOURCES[source] ?? source;
}

/** The line under a progress bar: percent, phase, done of total, speed, time left. */
export function describeProgress(percent: number, job: JobSnapshot | null, status: string): string {
  const parts = [formatPercent(percent)];
  if (job?.state === "queued") parts.push("Waiting to start");
  if (job?.state === "cancelling") parts.push("Cancelling…");
  if (job?.state === "paused") parts.push("Paused", ...describeDone(job));
  if (job?.state === "running") parts.push(...describeRunning(job, status));
  return parts.join(" • ");
}

function describeRunning(job: JobSnapshot, status: string): string[] {
  const parts: string[] = [];
  if (job.phase !== "" && job.phase.toLowerCase() !== status) parts.push(capitalize(job.phase));
  parts.push(...describeDone(job));
  if (job.per_s !== null) parts.push(`${formatAmount(job.per_s, job.unit)}/s`);
  if (job.eta_s !== null) parts.push(`${formatDuration(job.eta_s)} left`);
  return parts;
}

/** Empty where neither is known, as of a download that another process paused. */
function describeDone({ done, total, unit }: JobSnapshot): string[] {
  if (total === null) return done > 0 ? [formatAmount(done, unit)] : [];
  const left = unit === "bytes" ? formatBytes(done) : formatCount(done);
  return [`${left} / ${formatAmount(total, unit)}`];
}

function formatAmount(value: number, unit: string): string {
  if (unit === "bytes") return formatBytes(value);
  const number = value < 10 && !Number.isInteger(value) ? formatDecimal(value) : formatCount(value);
  return `${number} ${unit}`.trim();
}

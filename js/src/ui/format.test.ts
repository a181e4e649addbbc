import { describe, expect, it, vi } from "vitest";
import { aJob } from "../testing/wire";
import {
  capitalize,
  clampPercent,
  describeProgress,
  formatBytes,
  formatCount,
  formatDecimal,
  formatDuration,
  formatPercent,
  formatShare,
  formatSource,
  formatTime,
  plural,
} from "./format";

it.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1 KB"],
  [1536000, "1.46 MB"],
  [450 * 1024 ** 2, "450 MB"],
  [1024 ** 2 - 1, "1 MB"],
  [2.3 * 1024 ** 3, "2.3 GB"],
  [5000 * 1024 ** 4, "5000 TB"],
  [null, "–"],
])("%s bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

it.each([
  [45.2, "45.2%"],
  [67.8, "67.8%"],
  [99.97, "99.9%"],
  [100, "100.0%"],
  [-1, "0.0%"],
  [250, "100.0%"],
])("%s percent is %s", (percent, text) => {
  expect(formatPercent(percent)).toBe(text);
});

it.each([
  [0.4, "0s"],
  [59, "59s"],
  [200, "3m 20s"],
  [7500, "2h 5m"],
  [273600, "3d 4h"],
  [null, "–"],
  [Number.POSITIVE_INFINITY, "–"],
])("%s seconds are %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

it("writes numbers with thousands separators and what is unknown as a dash", () => {
  expect(formatCount(2119719)).toBe("2,119,719");
  expect(formatCount(null)).toBe("–");
  expect(formatDecimal(523.44)).toBe("523.4");
  expect(formatDecimal(487)).toBe("487");
  expect(formatDecimal(50257.6)).toBe("50,258");
  expect(formatDecimal(null)).toBe("–");
  expect(plural(1, "file")).toBe("1 file");
  expect(plural(2000, "file")).toBe("2,000 files");
  expect(clampPercent(Number.NaN)).toBe(0);
});

it("names sources, statuses and times", () => {
  expect(formatSource("huggingface")).toBe("HuggingFace");
  expect(formatSource("local")).toBe("local");
  expect(capitalize("tokenizing")).toBe("Tokenizing");
  expect(formatTime("2026-11-23T12:00:00Z")).toMatch(/Nov 2\d, 2026/);
  expect(formatTime("soon")).toBe("–");
});

describe("numbers and dates are written as their reader does", () => {
  const inLocale = (language: string) =>
    vi.spyOn(navigator, "language", "get").mockReturnValue(language);
  const plain = (text: string) => text.replaceAll(/[\u00a0\u202f]/g, " ");
  const noon = "2026-11-23T12:00:00Z";

  it("in German", () => {
    inLocale("de-DE");
    expect(formatCount(2119719)).toBe("2.119.719");
    expect(formatBytes(1536000)).toBe("1,46 MB");
    expect(formatDecimal(523.44)).toBe("523,4");
    expect(plain(formatPercent(45.2))).toBe("45,2 %");
    expect(plain(formatShare(80))).toBe("80 %");
    expect(formatTime(noon)).toMatch(/^2\d\.11\.2026, \d\d:00$/);
    const job = aJob({ phase: "", done: 1536000, total: 3072000, unit: "bytes", per_s: 1500.5 });
    expect(plain(describeProgress(50, job, "downloading"))).toContain(
      "50,0 % • 1,46 MB / 2,93 MB • 1,47 KB/s",
    );
  });

  it("in Egyptian Arabic, from right to left", () => {
    inLocale("ar-EG");
    expect(formatCount(2119719)).toBe("٢٬١١٩٬٧١٩");
    expect(formatBytes(1536000)).toBe("١٫٤٦ MB");
    expect(formatPercent(45.2)).toContain("٤٥٫٢");
    expect(formatTime(noon)).toContain("٢٠٢٦");
  });

  it("and in the browser's own way where that is not known", () => {
    const own = new Intl.NumberFormat(undefined).format(2119719);
    inLocale("en-US@posix");
    expect(formatCount(2119719)).toBe(own);
    expect(formatTime(noon)).toMatch(/26/);
  });
});

describe("the line under a progress bar", () => {
  it("has percent, amount, speed and time left of a download", () => {
    const MB = 1024 ** 2;
    const job = aJob({
      kind: "download",
      phase: "downloading",
      unit: "bytes",
      done: 81 * MB,
      total: 180 * MB,
      per_s: 12.5 * MB,
      eta_s: 7.9,
    });
    expect(describeProgress(45.2, job, "downloading")).toBe(
      "45.2% • 81 MB / 180 MB • 12.5 MB/s • 8s left",
    );
  });

  it("names a phase that is not the status", () => {
    const job = aJob({
      phase: "packing",
      done: 10,
      total: null,
      unit: "samples",
      per_s: 2.5,
      eta_s: null,
    });
    expect(describeProgress(90, job, "tokenizing")).toBe(
      "90.0% • Packing • 10 samples • 2.5 samples/s",
    );
  });

  it("says only what is known", () => {
    expect(describeProgress(12, null, "processing")).toBe("12.0%");
    expect(describeProgress(0, aJob({ state: "queued" }), "tokenizing")).toBe(
      "0.0% • Waiting to start",
    );
    expect(describeProgress(5, aJob({ state: "cancelling" }), "tokenizing")).toBe(
      "5.0% • Cancelling…",
    );
    const paused = aJob({ state: "paused", unit: "bytes", done: 1024, total: 4096, per_s: null });
    expect(describeProgress(25, paused, "downloading")).toBe("25.0% • Paused • 1 KB / 4 KB");
    expect(describeProgress(25, { ...paused, done: 0, total: null }, "downloading")).toBe(
      "25.0% • Paused",
    );
    const fresh = aJob({ phase: "", done: 0, total: null, per_s: null, eta_s: null });
    expect(describeProgress(0, fresh, "tokenizing")).toBe("0.0%");
  });
});

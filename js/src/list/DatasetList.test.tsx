import { render } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import type { DatasetCard } from "../protocol.gen";
import { aCard, aJob, goldenState } from "../testing/wire";
import { DatasetList, type DatasetListProps } from "./DatasetList";
import { NO_LIST_FILTERS } from "./useDatasetList";

const NUM_CARDS = 50;

it("draws one card again when one job gets on", () => {
  const drawn: number[] = [];
  const cards = Array.from({ length: NUM_CARDS }, (_, number): DatasetCard => {
    const { size_bytes, ...rest } = aCard({ id: `ds_${number}`, status: "downloading" });
    return {
      ...rest,
      // read once for every time that the card is drawn
      get size_bytes() {
        drawn.push(number);
        return size_bytes;
      },
    };
  });
  const jobs = [0, 7, 49].map((number) =>
    aJob({ id: `job_${number}`, kind: "download", dataset_id: `ds_${number}`, progress: 10 }),
  );
  const state = { ...goldenState(), datasets: cards, total: NUM_CARDS, jobs };
  const list = { datasets: cards, total: NUM_CARDS, offset: 0, failed: null, isAsking: false };
  const same = {
    disabled: false,
    filters: NO_LIST_FILTERS,
    onFilter: vi.fn(),
    send: vi.fn() as never,
    onOpen: vi.fn(),
    onDelete: vi.fn(),
  };
  const propsWith = (change: Partial<typeof state>): DatasetListProps => ({
    ...same,
    list: { ...list },
    state: { ...state, ...change, connected: true, selected: null },
  });
  const { rerender, container } = render(<DatasetList {...propsWith({})} />);
  expect(new Set(drawn).size).toBe(NUM_CARDS);
  const bars = () =>
    [...container.querySelectorAll('[role="progressbar"]')].map((bar) =>
      bar.getAttribute("aria-valuenow"),
    );
  expect(bars().slice(6, 9)).toEqual(["100", "10", "100"]);

  drawn.length = 0;
  const moved = jobs.map((job) => (job.id === "job_7" ? { ...job, progress: 20 } : job));
  rerender(<DatasetList {...propsWith({ jobs: moved })} />);
  expect(bars().slice(6, 9)).toEqual(["100", "20", "100"]);
  expect(new Set(drawn)).toEqual(new Set([7]));
});

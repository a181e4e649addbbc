/** The ways to find a dataset among many. */

import type { DatasetCard } from "../protocol.gen";
import { classes } from "../ui/ui";
import type { ListFilters } from "./useDatasetList";

const MAX_SEARCH_CHARS = 500;
const STATUSES: readonly (readonly [DatasetCard["status"] | "", string])[] = [
  ["", "All statuses"],
  ["downloading", "Downloading"],
  ["processing", "Processing"],
  ["tokenizing", "Tokenizing"],
  ["ready", "Ready"],
  ["error", "Error"],
];

const LOOK = classes(
  "rounded border border-slate-700 bg-slate-800 px-3 py-1 text-sm text-slate-100",
  "placeholder:text-slate-500 focus:border-transparent focus:outline-none focus:ring-2",
  "focus:ring-emerald-500",
);

export interface ListControlsProps {
  filters: ListFilters;
  /** Filters always begin with their first page. */
  onChange: (filters: ListFilters) => void;
}

export function ListControls({ filters, onChange }: ListControlsProps) {
  const change = (changed: Partial<ListFilters>) => onChange({ ...filters, ...changed, offset: 0 });
  const chooseStatus = (value: string) => {
    const [status] = STATUSES.find(([name]) => name === value) ?? [""];
    change({ status });
  };
  return (
    <div data-part="list.controls" className="mb-4 flex min-w-0 flex-wrap gap-2">
      <input
        type="text"
        data-part="list.search"
        aria-label="Search datasets by name, repository or description"
        placeholder="Search datasets..."
        autoComplete="off"
        spellCheck={false}
        maxLength={MAX_SEARCH_CHARS}
        value={filters.search}
        onChange={(event) => change({ search: event.target.value })}
        className={classes("w-56", LOOK)}
      />
      <select
        data-part="list.status"
        aria-label="Filter by status"
        value={filters.status}
        onChange={(event) => chooseStatus(event.target.value)}
        className={LOOK}
      >
        {STATUSES.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}

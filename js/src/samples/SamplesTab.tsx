/** The data of one dataset, page by page. */

import { FileText } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import type { Send } from "../kernel/requests";
import type { DatasetCard as Card, JobSnapshot, Sample, TokenizationRecord } from "../protocol.gen";
import { Pagination } from "../ui/Pagination";
import { Button, classes, EmptyState, ErrorBox, Loading, Unanswered } from "../ui/ui";
import { IndexLine } from "./IndexLine";
import { SampleCard } from "./SampleCard";
import {
  checkRange,
  FilterRow,
  type Filters,
  integerOf,
  isFiltered,
  NO_FILTERS,
  RangeRow,
} from "./SampleFilters";
import { type SampleParams, useSamples } from "./useSamples";

const PAGE_SIZE = 10;

export interface SamplesTabProps {
  dataset: Card;
  /** Names and rows of its splits. */
  splits: Readonly<Record<string, number>>;
  /** The newest first. */
  tokenizations: readonly TokenizationRecord[];
  jobs: readonly JobSnapshot[];
  readOnly: boolean;
  disabled: boolean;
  send: Send;
}

export function SamplesTab(props: SamplesTabProps) {
  const { dataset } = props;
  if (dataset.status !== "ready" && dataset.status !== "tokenizing") {
    return (
      <EmptyState icon={<FileText size={48} />} title="Dataset not ready">
        Samples can be viewed once the dataset is in "ready" status
      </EmptyState>
    );
  }
  return <ReadySamples {...props} />;
}

function ReadySamples(props: SamplesTabProps) {
  const { dataset, tokenizations, disabled, send } = props;
  const [filters, setFilters] = useState(NO_FILTERS);
  const [offset, setOffset] = useState(0);
  const ready = tokenizations.filter(({ status }) => status === "ready");
  const counted = ready.find(({ id }) => id === filters.tokenization) ?? ready[0] ?? null;
  const unit = counted === null ? "characters" : "tokens";
  const errors = checkRange(filters, unit);
  const isEnabled = !disabled && Object.keys(errors).length === 0;
  const { page, failed, isOld, again } = useSamples({
    params: paramsOf(dataset.id, filters, offset, filters.tokenization && counted),
    version: `${dataset.updated_at} ${ready.map(({ id }) => id)}`,
    isEnabled,
    send,
  });
  const change = (changed: Partial<Filters>) => {
    setFilters((before) => ({ ...before, ...changed }));
    setOffset(0);
  };
  const total = page?.total ?? null;
  const isBeyond = page?.items.length === 0 && total !== null && total > 0 && page.offset > 0;
  useEffect(() => {
    if (isBeyond && total !== null) setOffset(lastOffset(total));
  }, [isBeyond, total]);
  return (
    <div data-part="samples.root" className="space-y-4">
      <FilterRow {...props} filters={filters} onChange={change} />
      <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2">
        <RangeRow {...{ ready, counted, unit, errors, filters }} onChange={change} />
        <IndexLine {...props} />
      </div>
      {failed && (
        <div className="space-y-3">
          <ErrorBox {...failed} />
          <Button look="neutral" disabled={disabled} onClick={again}>
            Try again
          </Button>
        </div>
      )}
      {isOld && disabled && <Unanswered>The samples</Unanswered>}
      {page === null && !failed && isEnabled && <Loading>Loading samples...</Loading>}
      {page !== null && !failed && (
        <>
          <Cards
            samples={page.items}
            isOld={isOld}
            isAsking={isOld && isEnabled}
            disabled={disabled}
            tokenization_id={counted?.id ?? null}
            send={send}
          >
            <NoHits isFiltered={isFiltered(filters)} onClear={() => change(NO_FILTERS)} />
          </Cards>
          <Pagination
            offset={page.offset}
            limit={page.limit}
            count={page.items.length}
            total={page.total}
            disabled={!isEnabled}
            onOffset={setOffset}
          />
        </>
      )}
    </div>
  );
}

function paramsOf(
  dataset_id: string,
  filters: Filters,
  offset: number,
  counted: TokenizationRecord | null | "",
): SampleParams {
  const min = integerOf(filters.min);
  const max = integerOf(filters.max);
  return {
    dataset_id,
    ...(filters.split !== "" && { split: filters.split }),
    ...(filters.search.trim() !== "" && { search: filters.search }),
    ...(typeof min === "number" && { min_tokens: min }),
    ...(typeof max === "number" && { max_tokens: max }),
    ...(counted && { tokenization_id: counted.id }),
    limit: PAGE_SIZE,
    offset,
  };
}

function lastOffset(total: number): number {
  return Math.floor((total - 1) / PAGE_SIZE) * PAGE_SIZE;
}

interface CardsProps {
  samples: readonly Sample[];
  isOld: boolean;
  isAsking: boolean;
  disabled: boolean;
  tokenization_id: string | null;
  send: Send;
  /** What stands here instead of none. */
  children: ReactNode;
}

function Cards({ samples, isOld, isAsking, children, ...rest }: CardsProps) {
  return (
    <div aria-busy={isAsking} className={classes(isOld && "opacity-50 transition-opacity")}>
      {samples.length === 0 && children}
      <ul data-part="samples.list" aria-label="Samples" className="space-y-3">
        {samples.map((sample) => (
          <SampleCard key={`${sample.split} ${sample.row}`} sample={sample} {...rest} />
        ))}
      </ul>
    </div>
  );
}

function NoHits({ isFiltered, onClear }: { isFiltered: boolean; onClear: () => void }) {
  if (!isFiltered) {
    return (
      <EmptyState icon={<FileText size={48} />} title="No samples">
        This dataset has no rows
      </EmptyState>
    );
  }
  return (
    <EmptyState icon={<FileText size={48} />} title="No samples match">
      Nothing here has all that is asked for.{" "}
      <button type="button" onClick={onClear} className="underline hover:text-slate-300">
        Clear filters
      </button>
    </EmptyState>
  );
}

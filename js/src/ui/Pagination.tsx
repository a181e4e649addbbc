/** Which page is shown, and the ways to another. */

import { type ButtonHTMLAttributes, type KeyboardEvent, useState } from "react";
import { formatCount } from "./format";

export interface PaginationProps {
  offset: number;
  limit: number;
  /** How many are on the page. */
  count: number;
  /** null while they are still counted. */
  total: number | null;
  disabled: boolean;
  onOffset: (offset: number) => void;
}

export function Pagination(props: PaginationProps) {
  const { offset, limit, count, total, disabled, onOffset } = props;
  const hasNext = total === null ? count === limit : offset + count < total;
  return (
    <div
      data-part="pagination.row"
      className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2"
    >
      <p
        role="status"
        data-part={count === 0 ? "pagination.text.nomatch" : "pagination.text"}
        className="text-sm text-slate-400"
      >
        {describeRange(props)}
      </p>
      <div data-part="pagination.buttons" className="flex flex-wrap gap-2">
        <PageField
          key={offset}
          page={Math.floor(offset / limit) + 1}
          pages={total === null ? null : Math.max(Math.ceil(total / limit), 1)}
          disabled={disabled}
          onPage={(page) => onOffset((page - 1) * limit)}
        />
        <PageButton
          disabled={disabled || offset === 0}
          onClick={() => onOffset(Math.max(offset - limit, 0))}
        >
          Previous
        </PageButton>
        <PageButton disabled={disabled || !hasNext} onClick={() => onOffset(offset + limit)}>
          Next
        </PageButton>
      </div>
    </div>
  );
}

function describeRange({ offset, count, total }: PaginationProps): string {
  const all = total === null ? ", still counting…" : ` of ${formatCount(total)}`;
  if (count === 0) return `Showing 0${all}`;
  return `Showing ${formatCount(offset + 1)}-${formatCount(offset + count)}${all}`;
}

interface PageFieldProps {
  page: number;
  pages: number | null;
  disabled: boolean;
  onPage: (page: number) => void;
}

/** A page that is typed is shown with Enter, or when the field is left. */
function PageField({ page, pages, disabled, onPage }: PageFieldProps) {
  const [text, setText] = useState(String(page));
  const go = () => {
    const wanted = /^\d+$/.test(text.trim()) ? Number(text) : page;
    const chosen = Math.min(Math.max(wanted, 1), pages ?? Number.MAX_SAFE_INTEGER);
    setText(String(chosen));
    if (chosen !== page) onPage(chosen);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter") go();
  };
  return (
    <label className="flex items-center gap-2 text-sm text-slate-400">
      Page
      <input
        type="text"
        inputMode="numeric"
        data-part="pagination.page"
        autoComplete="off"
        value={text}
        disabled={disabled}
        onChange={(event) => setText(event.target.value)}
        onBlur={go}
        onKeyDown={onKeyDown}
        className="w-16 rounded border border-slate-700 bg-slate-900 px-2 py-1 text-center text-slate-100 focus:border-emerald-500 focus:outline-none disabled:opacity-50"
      />
      {pages !== null && <span className="whitespace-nowrap">of {formatCount(pages)}</span>}
    </label>
  );
}

function PageButton(props: ButtonHTMLAttributes<HTMLButtonElement>) {
  return (
    <button
      type="button"
      data-part="pagination.button"
      className="rounded bg-slate-800 px-3 py-1 enabled:hover:bg-slate-700 disabled:cursor-not-allowed disabled:opacity-50"
      {...props}
    />
  );
}

/** The files that a dataset consists of, each with the hash it was written or fetched with. */

import { useEffect, useState } from "react";
import type { Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { DatasetCard as Card, DataFile, PageDataFile } from "../protocol.gen";
import { formatBytes, formatCount, plural } from "../ui/format";
import { Pagination } from "../ui/Pagination";
import { ErrorBox } from "../ui/ui";

const PAGE_SIZE = 10;

export interface FileListProps {
  dataset: Card;
  disabled: boolean;
  send: Send;
}

export function FileList({ dataset, disabled, send }: FileListProps) {
  const [offset, setOffset] = useState(0);
  const { page, failed } = useFiles(dataset, offset, !disabled, send);
  if (failed) return <ErrorBox {...failed} />;
  if (page === null) return null;
  const total = page.total ?? page.items.length;
  return (
    <div data-part="overview.files" className="rounded-lg bg-slate-800/30 p-4">
      <p className="text-sm text-slate-400">{plural(total, "file")}, each with its SHA-256</p>
      <ul aria-label="Files" className="mt-3 space-y-3">
        {page.items.map((file) => (
          <Item key={file.path} file={file} />
        ))}
      </ul>
      {total > PAGE_SIZE && (
        <div className="mt-4">
          <Pagination
            offset={page.offset}
            limit={page.limit}
            count={page.items.length}
            total={total}
            disabled={disabled}
            onOffset={setOffset}
          />
        </div>
      )}
    </div>
  );
}

function Item({ file: { path, split, num_rows, size_bytes, sha256 } }: { file: DataFile }) {
  return (
    <li data-part="overview.file" className="break-anywhere text-xs text-slate-400">
      <p className="font-mono text-sm text-slate-200">
        <bdi>{path}</bdi>
      </p>
      <p className="mt-1">
        <bdi>{split}</bdi> • {formatCount(num_rows)} {num_rows === 1 ? "row" : "rows"} •{" "}
        {formatBytes(size_bytes)} • <span className="font-mono">{sha256}</span>
      </p>
    </li>
  );
}

/** Asked for again when the dataset changed. */
function useFiles({ id, updated_at }: Card, offset: number, isEnabled: boolean, send: Send) {
  const [page, setPage] = useState<PageDataFile | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the time says when to ask again
  useEffect(() => {
    if (!isEnabled) return;
    const abort = new AbortController();
    const params = { dataset_id: id, limit: PAGE_SIZE, offset };
    send("list_files", params, { signal: abort.signal }).then(
      (found) => {
        setPage(found);
        setFailed(null);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setFailed(describeError(error));
      },
    );
    return () => abort.abort();
  }, [id, updated_at, offset, isEnabled, send]);
  return { page, failed };
}

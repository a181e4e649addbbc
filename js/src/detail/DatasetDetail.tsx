/** The dialog of one dataset. */

import { X } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useState } from "react";
import type { Send } from "../kernel/requests";
import { describeError, type Failed } from "../kernel/useRequest";
import type { DatasetCard as Card, DatasetRecord, JobSnapshot } from "../protocol.gen";
import { SamplesTab } from "../samples/SamplesTab";
import { StatisticsTab } from "../statistics/StatisticsTab";
import { DeleteTokenization } from "../tokenization/DeleteTokenization";
import { TokenizationTab } from "../tokenization/TokenizationTab";
import { useTokenizations } from "../tokenization/useTokenizations";
import { formatBytes, plural } from "../ui/format";
import { classes, Dialog } from "../ui/ui";
import { usePresence } from "../ui/usePresence";
import { OverviewTab } from "./OverviewTab";

export interface DatasetDetailProps {
  dataset: Card;
  /** All that the panel shows. */
  datasets: readonly Card[];
  jobs: readonly JobSnapshot[];
  readOnly: boolean;
  disabled: boolean;
  send: Send;
  onClose: () => void;
  /** Whether it is closed already, and only fades away. */
  isLeaving: boolean;
  /** Why the kernel does not answer, where that is so. */
  notice?: ReactNode;
  /** What stands above the dialog. */
  above?: ReactNode;
}

const TABS = ["overview", "samples", "tokenization", "statistics"] as const;
type Tab = (typeof TABS)[number];
// a dialog as high as what is in it would move away under who types in it
const FULL_HEIGHT = "h-[90vh]";

export function DatasetDetail(props: DatasetDetailProps) {
  const { dataset, jobs, disabled, send, onClose } = props;
  const [tab, setTab] = useState<Tab>("overview");
  const id = useId();
  const { record, failed } = useRecord(dataset, !disabled, send);
  const made = useTokenizations({ dataset, jobs, isEnabled: !disabled, send });
  // what was typed in a tab, and how far it was scrolled, stays while another is shown
  const [visited, setVisited] = useState<ReadonlySet<Tab>>(new Set());
  const choose = (chosen: Tab) => {
    setVisited((before) => new Set([...before, tab]));
    setTab(chosen);
  };
  const tokenizations = made.records ?? [];
  const [deleteId, setDeleteId] = useState<string | null>(null);
  const toDelete = tokenizations.find((made) => made.id === deleteId) ?? null;
  const { shown: doomed, isLeaving: isSpared } = usePresence(toDelete);
  const panels: Record<Tab, () => ReactNode> = {
    overview: () => (
      <OverviewTab
        {...props}
        verification={jobs.find(isVerificationOf(dataset.id)) ?? null}
        record={record}
        tokenizations={tokenizations}
        failed={failed}
      />
    ),
    samples: () => (
      <SamplesTab {...props} splits={record?.split_info ?? {}} tokenizations={tokenizations} />
    ),
    tokenization: () => (
      <TokenizationTab
        {...props}
        {...made}
        columns={Object.keys(record?.columns ?? {})}
        splits={record?.split_info ?? {}}
        onDelete={setDeleteId}
      />
    ),
    statistics: () => <StatisticsTab {...props} {...made} />,
  };
  return (
    <>
      <Dialog
        labelledBy={`${id}-title`}
        onClose={onClose}
        panelClassName={classes("@container max-w-6xl", tab !== "overview" && FULL_HEIGHT)}
        isLeaving={props.isLeaving}
        above={!doomed && props.above}
      >
        <Header dataset={dataset} titleId={`${id}-title`} onClose={onClose} />
        <Tabs id={id} active={tab} onChoose={choose} />
        {props.notice}
        {TABS.filter((name) => name === tab || visited.has(name)).map((name) => (
          <div
            key={name}
            role="tabpanel"
            hidden={name !== tab}
            id={`${id}-${name}-panel`}
            aria-labelledby={`${id}-${name}`}
            // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys must reach it
            tabIndex={0}
            data-part="modal.content"
            className="relative flex-1 overflow-y-auto p-6 -outline-offset-2"
          >
            {panels[name]()}
          </div>
        ))}
      </Dialog>
      {doomed && (
        <DeleteTokenization
          key={doomed.id}
          record={doomed}
          disabled={props.disabled}
          send={send}
          onClose={() => setDeleteId(null)}
          isLeaving={isSpared}
          notice={props.notice}
          above={props.above}
        />
      )}
    </>
  );
}

const isVerificationOf = (id: string) => (job: JobSnapshot) =>
  job.dataset_id === id && job.kind === "verify";

/** The whole record; fetched again when the card says that something changed, or the kernel is back. */
function useRecord(dataset: Card, isEnabled: boolean, send: Send) {
  const [record, setRecord] = useState<DatasetRecord | null>(null);
  const [failed, setFailed] = useState<Failed | null>(null);
  const { id, updated_at, status } = dataset;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the time and status say when to look again
  useEffect(() => {
    if (!isEnabled) return;
    const abort = new AbortController();
    send("get_dataset", { dataset_id: id }, { signal: abort.signal }).then(
      (found) => {
        setRecord(found);
        setFailed(null);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setFailed(describeError(error));
      },
    );
    return () => abort.abort();
  }, [id, updated_at, status, isEnabled, send]);
  return { record, failed };
}

interface HeaderProps {
  dataset: Card;
  titleId: string;
  onClose: () => void;
}

function Header({ dataset, titleId, onClose }: HeaderProps) {
  const { name, size_bytes, num_samples } = dataset;
  const facts = [
    size_bytes === null ? null : formatBytes(size_bytes),
    num_samples === null ? null : plural(num_samples, "sample"),
  ].filter((fact) => fact !== null);
  return (
    <div data-part="modal.header" className="shrink-0 border-b border-slate-800 p-6">
      <div data-part="modal.header.row" className="flex items-center justify-between">
        <div className="min-w-0">
          <h2
            id={titleId}
            data-part="modal.title"
            title={name}
            className="break-anywhere line-clamp-2 text-2xl font-bold"
          >
            <bdi>{name}</bdi>
          </h2>
          <p data-part="modal.subtitle" className="mt-1 text-slate-400">
            {facts.join(" • ") || dataset.status}
          </p>
        </div>
        <button
          type="button"
          data-part="modal.close"
          aria-label="Close"
          onClick={onClose}
          className="shrink-0 p-2 text-slate-400 hover:text-slate-200"
        >
          <X data-part="modal.close.icon" size={24} aria-hidden="true" />
        </button>
      </div>
    </div>
  );
}

// as little as is needed to see all of it
const NEAREST = { block: "nearest", inline: "nearest" } as const;

interface TabsProps {
  id: string;
  active: Tab;
  onChoose: (tab: Tab) => void;
}

function Tabs({ id, active, onChoose }: TabsProps) {
  const step = (event: KeyboardEvent<HTMLElement>) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    const next = TABS[(TABS.indexOf(active) + by + TABS.length) % TABS.length];
    if (next === undefined) return;
    onChoose(next);
    event.currentTarget.querySelector<HTMLElement>(`[data-tab="${next}"]`)?.focus();
  };
  return (
    <div data-part="tabs.border" className="shrink-0 border-b border-slate-800">
      <div
        role="tablist"
        data-part="tabs.row"
        className="flex overflow-x-auto px-2 @[480px]:px-6"
        onKeyDown={step}
      >
        {TABS.map((tab) => (
          <button
            key={tab}
            type="button"
            role="tab"
            id={`${id}-${tab}`}
            data-tab={tab}
            data-part={tab === active ? "tab.active" : "tab.inactive"}
            aria-selected={tab === active}
            aria-controls={`${id}-${tab}-panel`}
            tabIndex={tab === active ? 0 : -1}
            onClick={() => onChoose(tab)}
            onFocus={({ currentTarget }) => currentTarget.scrollIntoView(NEAREST)}
            className={classes(
              "shrink-0 border-b-2 px-2 py-3 text-sm capitalize -outline-offset-2",
              "@[480px]:px-4 @[480px]:text-base",
              tab === active
                ? "border-emerald-400 text-emerald-400"
                : "border-transparent text-slate-400 hover:text-slate-300",
            )}
          >
            {tab}
          </button>
        ))}
      </div>
    </div>
  );
}

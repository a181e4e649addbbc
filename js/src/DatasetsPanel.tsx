/** The whole panel: heading, form, list, and the dialogs above them. */

import { Lock } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";
import { DatasetDetail } from "./detail/DatasetDetail";
import { useSelected } from "./detail/useSelected";
import { DownloadForm } from "./forms/DownloadForm";
import { ImportForm } from "./forms/ImportForm";
import type { Snapshot } from "./kernel/bridge";
import type { Send } from "./kernel/requests";
import { DatasetList } from "./list/DatasetList";
import { DeleteDialog } from "./list/DeleteDialog";
import { StorageLine } from "./list/StorageLine";
import { NO_LIST_FILTERS, useDatasetList } from "./list/useDatasetList";
import type { DatasetCard, TokenizationSettingsOutput } from "./protocol.gen";
import { usedTokenizers } from "./tokenization/tokenizations";
import { KernelNotice } from "./ui/KernelNotice";
import { type ToastMessage, Toasts } from "./ui/toasts";
import { classes } from "./ui/ui";
import { usePresence } from "./ui/usePresence";

/** The code of an error after which nothing can be asked any more. */
const CLOSED = "closed";

export interface DatasetsPanelProps {
  state: Snapshot;
  /** The dataset whose dialog is open. */
  openId: string | null;
  onOpen: (dataset_id: string | null) => void;
  send: Send;
  toasts: readonly ToastMessage[];
  onDismissToast: (id: string) => void;
  /** Where the panel is the page, as in Voila: how many pixels others take of its height. */
  fillsPage: { around: number } | null;
}

export function DatasetsPanel(props: DatasetsPanelProps) {
  const { state, openId, onOpen, send, toasts, onDismissToast, fillsPage } = props;
  const isOff = !state.connected || state.error?.code === CLOSED;
  const [deleteId, setDeleteId] = useState<string | null>(null);
  const selected = useSelected({ id: openId, state, send, onGone: () => onOpen(null) });
  const { shown: opened, isLeaving } = usePresence(selected);
  const [filters, setFilters] = useState(NO_LIST_FILTERS);
  const list = useDatasetList({ state, filters, send });
  const toDelete = [...list.datasets, ...state.datasets].find(({ id }) => id === deleteId);
  const { shown: doomed, isLeaving: isSpared } = usePresence(toDelete ?? null);
  const messages = <Toasts toasts={toasts} onDismiss={onDismissToast} />;
  return (
    <div
      data-part="panel.root"
      className={classes("@container bg-slate-950 text-slate-100", fillsPage && "min-h-screen")}
      style={fillsPage?.around ? { minHeight: `calc(100vh - ${fillsPage.around}px)` } : undefined}
    >
      <div data-part="panel.container" className="mx-auto max-w-7xl px-6 py-8">
        <Header readOnly={state.read_only}>
          {state.storage && (
            <StorageLine storage={state.storage} disabled={isOff || state.read_only} send={send} />
          )}
        </Header>
        <KernelNotice state={state} className="mb-6" />
        {!state.read_only && (
          <FormSection
            send={send}
            disabled={isOff}
            datasets={state.datasets}
            autoTokenize={state.auto_tokenize}
          />
        )}
        <DatasetList
          state={state}
          disabled={isOff}
          list={list}
          filters={filters}
          onFilter={setFilters}
          send={send}
          onOpen={onOpen}
          onDelete={setDeleteId}
        />
      </div>
      {opened && (
        <DatasetDetail
          key={opened.id}
          dataset={opened}
          datasets={state.datasets}
          jobs={state.jobs}
          readOnly={state.read_only}
          disabled={isOff}
          send={send}
          onClose={() => onOpen(null)}
          isLeaving={isLeaving}
          notice={<KernelNotice state={state} className="mx-6 mt-6 shrink-0" />}
          above={!doomed && messages}
        />
      )}
      {doomed && (
        <DeleteDialog
          key={doomed.id}
          dataset={doomed}
          disabled={isOff}
          send={send}
          onClose={() => setDeleteId(null)}
          isLeaving={isSpared}
          notice={<KernelNotice state={state} className="mt-4" />}
          above={messages}
        />
      )}
      {!opened && !doomed && messages}
    </div>
  );
}

function Header({ readOnly, children }: { readOnly: boolean; children: ReactNode }) {
  return (
    <div data-part="panel.header" className="mb-8">
      <h1
        data-part="panel.title"
        tabIndex={-1}
        data-takes-focus
        className="mb-2 text-2xl font-semibold text-slate-100"
      >
        Datasets
        {readOnly && (
          <span
            data-part="panel.readonly"
            className={classes(
              "ml-3 inline-flex items-center gap-1.5 rounded-full border border-slate-700 px-3",
              "py-1 align-middle text-xs font-medium text-slate-400",
            )}
          >
            <Lock size={12} aria-hidden="true" />
            Read-only
          </span>
        )}
      </h1>
      <p data-part="panel.subtitle" className="text-slate-400">
        Manage training datasets from HuggingFace or local sources
      </p>
      {children}
    </div>
  );
}

interface FormSectionProps {
  send: Send;
  disabled: boolean;
  datasets: readonly DatasetCard[];
  /** What is tokenized with when nothing is named. */
  autoTokenize: TokenizationSettingsOutput | null;
}

function FormSection({ datasets, ...rest }: FormSectionProps) {
  const [isImport, setIsImport] = useState(false);
  const knownTokenizers = useMemo(() => usedTokenizers(datasets), [datasets]);
  const Form = isImport ? ImportForm : DownloadForm;
  return (
    <div data-part="form.section" className="mb-8">
      <div data-part="form.card" className="rounded-lg border border-slate-800 bg-slate-900/50 p-6">
        <div className="flex flex-wrap items-start justify-between gap-x-4">
          <h2 data-part="form.title" className="mb-4 text-lg font-semibold text-slate-100">
            {isImport ? "Import local files" : "Download from HuggingFace"}
          </h2>
          <button
            type="button"
            data-part="form.switch"
            onClick={() => setIsImport(!isImport)}
            className="mb-4 text-sm leading-7 text-slate-400 transition-colors hover:text-slate-200"
          >
            {isImport ? "Download from HuggingFace" : "Import local files"}
          </button>
        </div>
        <Form {...rest} knownTokenizers={knownTokenizers} />
      </div>
    </div>
  );
}

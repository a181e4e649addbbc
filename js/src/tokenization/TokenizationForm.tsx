/** How to tokenize, what that makes of a text, and the button that begins. */

import { CircleCheckBig } from "lucide-react";
import { type FormEvent, useState } from "react";
import type { Send } from "../kernel/requests";
import { useRequest } from "../kernel/useRequest";
import type { DatasetCard as Card, JobSnapshot } from "../protocol.gen";
import type { Suggestion } from "../ui/fields";
import { Form } from "../ui/formFields";
import { ErrorBox, Spinner } from "../ui/ui";
import { changed, checkForm, DEFAULT_FORM, type SettingsForm, settingsOf } from "./settings";
import { COMMON_TOKENIZERS, TokenizationFields } from "./TokenizationFields";
import { TokenPreview } from "./TokenPreview";

export interface TokenizationFormProps {
  dataset: Card;
  jobs: readonly JobSnapshot[];
  disabled: boolean;
  /** Tokenizers that were used before, this dataset's newest first. */
  knownTokenizers: readonly Suggestion[];
  columns: readonly string[];
  /** Names and rows of the splits. */
  splits: Readonly<Record<string, number>>;
  send: Send;
}

export function TokenizationForm(props: TokenizationFormProps) {
  const { dataset, jobs, disabled, knownTokenizers, send } = props;
  const [form, setForm] = useState<SettingsForm>(() => ({
    ...DEFAULT_FORM,
    tokenizer: knownTokenizers[0]?.value ?? COMMON_TOKENIZERS[0] ?? "",
  }));
  const [started, setStarted] = useState<JobSnapshot | null>(null);
  const { pending, failed, run, clear } = useRequest();
  const set = (change: Partial<SettingsForm>) => {
    setForm((now) => changed(now, change));
    setStarted(null);
    clear();
  };
  const valid = Object.keys(checkForm(form)).length === 0;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!valid || pending || disabled) return;
    const request = { dataset_id: dataset.id, settings: settingsOf(form) };
    await run(async () => setStarted((await send("tokenize", request)).job));
  };
  return (
    <Form onSubmit={submit}>
      <h3 data-part="tokenization.title" className="mb-4 font-semibold">
        Tokenization Configuration
      </h3>
      <TokenizationFields {...props} form={form} set={set} />
      <TokenPreview {...props} settings={valid ? settingsOf(form) : null} />
      <div data-part="apply.section" className="mt-6 border-t border-slate-700 pt-6">
        {failed && <ErrorBox className="mb-4" {...failed} />}
        <button
          type="submit"
          data-part="apply.button"
          disabled={!valid || disabled}
          // disabled, it would lose the focus
          aria-disabled={pending || undefined}
          className="flex w-full items-center justify-center gap-2 rounded-lg bg-emerald-600 px-6 py-3 hover:bg-emerald-700 disabled:cursor-not-allowed disabled:bg-slate-700 aria-disabled:cursor-not-allowed aria-disabled:bg-slate-700"
        >
          {pending ? (
            <>
              <Spinner part="apply.button.spinner" size={20} />
              Processing Dataset...
            </>
          ) : (
            <>
              <CircleCheckBig data-part="apply.button.icon" size={20} aria-hidden="true" />
              Apply &amp; Tokenize Dataset
            </>
          )}
        </button>
        <p role="status" className="mt-2 text-xs text-slate-400 empty:hidden">
          {noteOn(started, jobs)}
        </p>
      </div>
    </Form>
  );
}

/** What became of the job that this form started; once it has ended, the list below tells. */
function noteOn(started: JobSnapshot | null, jobs: readonly JobSnapshot[]): string | null {
  if (started?.state === "succeeded") {
    return "The tokenization with these settings is there already: see the list below.";
  }
  return jobs.some(({ id }) => id === started?.id)
    ? "Started. You can close this dialog: tokenization continues in the background."
    : null;
}

/** "Download from HuggingFace". */

import { Download } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import type { Params, Send } from "../kernel/requests";
import { type Failed, useRequest } from "../kernel/useRequest";
import type { TokenizationSettingsOutput } from "../protocol.gen";
import { type Suggestion, Suggestions } from "../ui/fields";
import { Field, Form, SecretField } from "../ui/formFields";
import { Button, ErrorBox } from "../ui/ui";
import { PlanBox } from "./PlanBox";
import { followUp, ThenTokenize } from "./ThenTokenize";
import { usePlan } from "./usePlan";

export interface DownloadFormProps {
  send: Send;
  disabled: boolean;
  /** What the kernel tokenizes with when nothing is named. */
  autoTokenize: TokenizationSettingsOutput | null;
  /** Tokenizers that were used before. */
  knownTokenizers: readonly Suggestion[];
}

const EMPTY = { repo: "", token: "", split: "", config: "" };

/** Where what was typed is the reason of an error. */
const FIELD_OF: Readonly<Record<string, string>> = {
  repo_not_found: "repo_id",
  unsupported_repo: "repo_id",
  hub_auth: "hf_token",
  gated: "hf_token",
  config_not_found: "config",
  split_not_found: "split",
};

export function DownloadForm(props: DownloadFormProps) {
  const { send, disabled, autoTokenize, knownTokenizers } = props;
  const [values, setValues] = useState(EMPTY);
  const [tokenizer, setTokenizer] = useState<string | null>(null);
  const [invalid, setInvalid] = useState<string | null>(null);
  const { pending, failed, run, clear } = useRequest();
  const id = useId();
  const planned = usePlan({
    params: checkRepoId(values.repo) === null ? downloadParams(values) : null,
    isEnabled: !disabled && !pending,
    send,
  });
  const set = (field: keyof typeof EMPTY) => (event: { target: { value: string } }) => {
    setValues((now) => ({ ...now, [field]: event.target.value }));
    setInvalid(null);
    clear();
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const problem = checkRepoId(values.repo);
    setInvalid(problem);
    if (problem !== null || pending || disabled) return;
    const params = { ...downloadParams(values), ...followUp(tokenizer, autoTokenize) };
    if (!(await run(() => send("download", params)))) return;
    setValues(EMPTY);
    setTokenizer(null);
  };

  const fieldError = (field: string) => (failed?.field === field ? failed.message : null);
  const isWrong = (field: string) =>
    [failed, planned.failed].some((error) => error !== null && fieldOf(error) === field);
  const isEmpty = values.repo.trim() === "";
  const { known } = planned;
  const splits = known?.splits[values.config.trim()] ?? [];
  return (
    <Form part="form.fields" className="space-y-4" onSubmit={submit} onBlur={planned.hurry}>
      <Field
        part="form.input.repo"
        id="dataset-repo-input"
        name="dataset_id"
        type="text"
        label="Repository ID"
        aria-label="Repository ID (HuggingFace Dataset ID)"
        placeholder="username/dataset-name"
        value={values.repo}
        error={invalid}
        isWrong={isWrong("repo_id")}
        aria-required="true"
        disabled={pending}
        onChange={set("repo")}
        onBlur={() => values.repo !== "" && setInvalid(checkRepoId(values.repo))}
      />
      <SecretField
        part="form.input.token"
        id="dataset-token-input"
        label="Access Token (optional)"
        placeholder="hf_..."
        help="Required for private or gated datasets"
        className="py-2 font-mono text-sm"
        value={values.token}
        isWrong={isWrong("hf_token")}
        disabled={pending}
        onChange={set("token")}
      />
      <div data-part="form.grid" className="grid grid-cols-2 gap-4">
        <Field
          part="form.input.split"
          helpPart="form.help.split"
          id="split-input"
          type="text"
          label="Split (optional)"
          placeholder="train, validation, test"
          help="Dataset split to download"
          list={`${id}-splits`}
          value={values.split}
          isWrong={isWrong("split")}
          error={fieldError("split")}
          disabled={pending}
          onChange={set("split")}
        />
        <Field
          part="form.input.config"
          helpPart="form.help.config"
          id="config-input"
          type="text"
          label="Config (optional)"
          placeholder="en, zh, etc."
          help="Dataset configuration"
          list={`${id}-configs`}
          value={values.config}
          isWrong={isWrong("config")}
          error={fieldError("config")}
          disabled={pending}
          onChange={set("config")}
        />
        <Suggestions id={`${id}-splits`} values={splits.map((value) => ({ value }))} />
        <Suggestions
          id={`${id}-configs`}
          values={(known?.configs ?? []).map((value) => ({ value }))}
        />
      </div>
      <ThenTokenize
        id="download-tokenizer-input"
        tokenizer={tokenizer}
        preset={autoTokenize}
        known={knownTokenizers}
        disabled={pending}
        onChange={(typed) => {
          setTokenizer(typed);
          clear();
        }}
      />
      {!isEmpty && invalid === null && <PlanBox {...planned} />}
      {failed && <ErrorBox message={failed.message} hint={failed.hint} />}
      <Button
        type="submit"
        part="form.button"
        className="w-full"
        disabled={isEmpty || pending || disabled}
      >
        <Download data-part="form.button.icon" size={16} aria-hidden="true" />
        {pending ? "Downloading..." : "Download Dataset"}
      </Button>
    </Form>
  );
}

function fieldOf({ field, code }: Failed): string | null {
  return field ?? FIELD_OF[code ?? ""] ?? null;
}

/** "owner/name" from what was typed or pasted, the address of the dataset's page included. */
export function normalizeRepoId(typed: string): string {
  const path = typed.trim().replace(/^https?:\/\/(?:huggingface\.co|hf\.co)\/datasets\//i, "");
  return path === typed.trim()
    ? path
    : path.split(/[?#]/, 1).join("").split("/").slice(0, 2).join("/");
}

/** What is wrong with a repository id, or null. */
export function checkRepoId(typed: string): string | null {
  const repo_id = normalizeRepoId(typed);
  if (repo_id === "") return "Dataset ID is required";
  if (repo_id.length > 500) return "Dataset ID too long";
  if (!/^[\w.-]+(?:\/[\w.-]+)?$/.test(repo_id)) return "Invalid dataset ID format";
  return null;
}

function downloadParams({ repo, token, split, config }: typeof EMPTY): Params<"download"> {
  const names = split.split(",").map((name) => name.trim());
  const splits = names.filter((name) => name !== "");
  return {
    repo_id: normalizeRepoId(repo),
    ...(token.trim() && { hf_token: token.trim() }),
    ...(splits[0] !== undefined && { split: splits.length === 1 ? splits[0] : splits }),
    ...(config.trim() && { config: config.trim() }),
  };
}

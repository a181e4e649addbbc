/** "Download from HuggingFace". */

import { Download } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Field, Form } from "./formFields";
import type { Params, Send } from "./requests";
import { Button, ErrorBox } from "./ui";
import { useRequest } from "./useRequest";

export interface DownloadFormProps {
  send: Send;
  disabled: boolean;
}

const EMPTY = { repo: "", token: "", split: "", config: "" };

export function DownloadForm({ send, disabled }: DownloadFormProps) {
  const [values, setValues] = useState(EMPTY);
  const [invalid, setInvalid] = useState<string | null>(null);
  const { pending, failed, run, clear } = useRequest();
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
    if (await run(() => send("download", downloadParams(values)))) setValues(EMPTY);
  };

  const fieldError = (field: string) => (failed?.field === field ? failed.message : null);
  const isEmpty = values.repo.trim() === "";
  return (
    <Form part="form.fields" className="space-y-4" onSubmit={submit}>
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
        aria-required="true"
        disabled={pending}
        onChange={set("repo")}
        onBlur={() => values.repo !== "" && setInvalid(checkRepoId(values.repo))}
      />
      <Field
        part="form.input.token"
        id="dataset-token-input"
        type="password"
        label="Access Token (optional)"
        placeholder="hf_..."
        help="Required for private or gated datasets"
        className="py-2 font-mono text-sm"
        value={values.token}
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
          value={values.split}
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
          value={values.config}
          error={fieldError("config")}
          disabled={pending}
          onChange={set("config")}
        />
      </div>
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
  return {
    repo_id: normalizeRepoId(repo),
    ...(token.trim() && { hf_token: token.trim() }),
    ...(split.trim() && { split: split.trim() }),
    ...(config.trim() && { config: config.trim() }),
  };
}

/** "Import local files": by paths on the kernel's machine, which need not be this one. */

import { FolderInput } from "lucide-react";
import { type FormEvent, useState } from "react";
import type { Params, Send } from "../kernel/requests";
import { useRequest } from "../kernel/useRequest";
import type { TokenizationSettingsOutput } from "../protocol.gen";
import type { Suggestion } from "../ui/fields";
import { Field, FieldLabel, Form, INPUT_LOOK, SelectField } from "../ui/formFields";
import { Button, classes, ErrorBox } from "../ui/ui";
import { parseShares, type Shares } from "./splits";
import { followUp, ThenTokenize } from "./ThenTokenize";

export interface ImportFormProps {
  send: Send;
  disabled: boolean;
  /** What the kernel tokenizes with when nothing is named. */
  autoTokenize: TokenizationSettingsOutput | null;
  /** Tokenizers that were used before. */
  knownTokenizers: readonly Suggestion[];
}

const EMPTY = { paths: "", name: "", split: "", divide: "", sample_by: "" };
type Values = typeof EMPTY;

const MAX_NAME_CHARS = 500;

const SAMPLE_BY = [
  ["", "Automatic"],
  ["line", "Line"],
  ["paragraph", "Paragraph"],
  ["document", "Document"],
] as const;

export function ImportForm(props: ImportFormProps) {
  const { send, disabled, autoTokenize, knownTokenizers } = props;
  const [values, setValues] = useState(EMPTY);
  const [tokenizer, setTokenizer] = useState<string | null>(null);
  const [invalid, setInvalid] = useState<string | null>(null);
  const [badName, setBadName] = useState<string | null>(null);
  const { pending, failed, run, clear } = useRequest();
  const set = (field: keyof Values) => (event: { target: { value: string } }) => {
    setValues((now) => ({ ...now, [field]: event.target.value }));
    if (field === "divide") setInvalid(null);
    if (field === "name") setBadName(null);
    clear();
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const parsed = parseShares(values.divide);
    const nameProblem = checkName(values.name);
    setInvalid(problemOf(parsed));
    setBadName(nameProblem);
    if (!("shares" in parsed) || nameProblem !== null) return;
    if (values.paths.trim() === "" || pending || disabled) return;
    const params = {
      ...importParams(values, parsed.shares),
      ...followUp(tokenizer, autoTokenize),
    };
    if (!(await run(() => send("import_files", params)))) return;
    setValues(EMPTY);
    setTokenizer(null);
  };

  const fieldError = (field: string) => (failed?.field === field ? failed.message : null);
  const isDivided = values.divide.trim() !== "";

  return (
    <Form part="form.fields" className="space-y-4" onSubmit={submit}>
      <div data-part="form.field">
        <FieldLabel htmlFor="import-paths-input">Paths</FieldLabel>
        <textarea
          id="import-paths-input"
          name="paths"
          rows={3}
          data-part="form.input form.input.paths"
          className={classes(INPUT_LOOK, "block py-2 font-mono text-sm")}
          placeholder={"~/corpus/*.txt\n/data/articles.jsonl.gz"}
          aria-describedby="import-paths-help"
          aria-invalid={failed?.field === "paths" ? true : undefined}
          spellCheck={false}
          value={values.paths}
          disabled={pending}
          onChange={set("paths")}
        />
        <p id="import-paths-help" data-part="form.help" className="mt-1 text-xs text-slate-500">
          Files, folders or globs on the kernel's machine, one per line. Text, csv, tsv, json,
          jsonl, parquet, arrow and webdataset (.tar), also compressed
        </p>
      </div>
      <div data-part="form.grid" className="grid grid-cols-2 gap-4">
        <Field
          part="form.input.name"
          id="import-name-input"
          type="text"
          label="Name (optional)"
          placeholder="my-corpus"
          help="How the dataset is called here; empty: as the files are called"
          value={values.name}
          error={badName ?? fieldError("name")}
          disabled={pending}
          onChange={set("name")}
          onBlur={() => setBadName(checkName(values.name))}
        />
        <Field
          part="form.input.split"
          id="import-split-input"
          type="text"
          label="Split (optional)"
          placeholder="train"
          help={isDivided ? "Named below" : "The split that all files become"}
          value={isDivided ? "" : values.split}
          error={fieldError("split")}
          disabled={pending || isDivided}
          onChange={set("split")}
        />
        <Field
          part="form.input.divide"
          id="import-divide-input"
          type="text"
          label="Divide into splits (optional)"
          placeholder="train 90, validation 5, test 5"
          help="Percent of the samples, drawn at random; empty: all in one split"
          value={values.divide}
          error={invalid ?? fieldError("splits")}
          disabled={pending}
          onChange={set("divide")}
          onBlur={() => setInvalid(problemOf(parseShares(values.divide)))}
        />
        <SelectField
          part="form.input.sampleby"
          id="import-sample-by-input"
          label="Sample by"
          options={SAMPLE_BY}
          help="For text; automatic: lines of .txt files, else whole documents"
          value={values.sample_by}
          error={fieldError("sample_by")}
          disabled={pending}
          onChange={set("sample_by")}
        />
      </div>
      <ThenTokenize
        id="import-tokenizer-input"
        tokenizer={tokenizer}
        preset={autoTokenize}
        known={knownTokenizers}
        disabled={pending}
        onChange={(typed) => {
          setTokenizer(typed);
          clear();
        }}
      />
      {failed && <ErrorBox message={failed.message} hint={failed.hint} />}
      <Button
        type="submit"
        part="form.button"
        className="w-full"
        disabled={values.paths.trim() === "" || pending || disabled}
      >
        <FolderInput data-part="form.button.icon" size={16} aria-hidden="true" />
        {pending ? "Importing..." : "Import Files"}
      </Button>
    </Form>
  );
}

function checkName(typed: string): string | null {
  if (typed === "") return null;
  if (typed.trim() === "") return "Only blanks: type a name, or empty the field";
  return typed.trim().length > MAX_NAME_CHARS ? `At most ${MAX_NAME_CHARS} characters` : null;
}

function problemOf(parsed: ReturnType<typeof parseShares>): string | null {
  return "problem" in parsed ? parsed.problem : null;
}

function importParams(values: Values, splits: Shares | null): Params<"import_files"> {
  const name = values.name.trim();
  const split = values.split.trim();
  const sample_by = SAMPLE_BY.map(([by]) => by).find((by) => by === values.sample_by);
  return {
    paths: values.paths
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== ""),
    ...(name && { name }),
    ...(splits ? { splits } : split && { split }),
    ...(sample_by && { sample_by }),
  };
}

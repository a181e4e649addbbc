/** "Import local files": by paths on the kernel's machine, which need not be this one. */

import { FolderInput } from "lucide-react";
import { type FormEvent, useState } from "react";
import type { Params, Send } from "./requests";
import { Button, classes, ErrorBox, Field, FieldLabel, INPUT_LOOK } from "./ui";
import { useRequest } from "./useRequest";

export interface ImportFormProps {
  send: Send;
  disabled: boolean;
}

const EMPTY = { paths: "", name: "", split: "" };

export function ImportForm({ send, disabled }: ImportFormProps) {
  const [values, setValues] = useState(EMPTY);
  const { pending, failed, run, clear } = useRequest();
  const set = (field: keyof typeof EMPTY) => (event: { target: { value: string } }) => {
    setValues((now) => ({ ...now, [field]: event.target.value }));
    clear();
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (values.paths.trim() === "" || pending || disabled) return;
    if (await run(() => send("import_files", importParams(values)))) setValues(EMPTY);
  };

  return (
    <form data-part="form.fields" className="space-y-4" onSubmit={submit} noValidate>
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
          jsonl, parquet and arrow, also compressed
        </p>
      </div>
      <div data-part="form.grid" className="grid grid-cols-2 gap-4">
        <Field
          part="form.input.name"
          id="import-name-input"
          type="text"
          label="Name (optional)"
          placeholder="my-corpus"
          help="How the dataset is called here"
          value={values.name}
          disabled={pending}
          onChange={set("name")}
        />
        <Field
          part="form.input.split"
          id="import-split-input"
          type="text"
          label="Split (optional)"
          placeholder="train"
          help="The split that the files become"
          value={values.split}
          disabled={pending}
          onChange={set("split")}
        />
      </div>
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
    </form>
  );
}

function importParams({ paths, name, split }: typeof EMPTY): Params<"import_files"> {
  return {
    paths: paths
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== ""),
    ...(name.trim() && { name: name.trim() }),
    ...(split.trim() && { split: split.trim() }),
  };
}

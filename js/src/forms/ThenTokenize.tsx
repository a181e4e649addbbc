/** "Then tokenize with": what follows a download or an import, if anything. */

import { useId } from "react";
import type { TokenizationSettingsInput, TokenizationSettingsOutput } from "../protocol.gen";
import { COMMON_TOKENIZERS } from "../tokenization/TokenizationFields";
import { describeSettings } from "../tokenization/tokenizations";
import { type Suggestion, Suggestions } from "../ui/fields";
import { Field } from "../ui/formFields";

export interface ThenTokenizeProps {
  id: string;
  /** null until something is typed: then the preset counts. */
  tokenizer: string | null;
  /** What the kernel tokenizes with when nothing is named. */
  preset: TokenizationSettingsOutput | null;
  /** Tokenizers that were used before. */
  known: readonly Suggestion[];
  disabled: boolean;
  onChange: (tokenizer: string) => void;
}

export function ThenTokenize(props: ThenTokenizeProps) {
  const { id, tokenizer, preset, known, disabled, onChange } = props;
  const listId = useId();
  const isNew = (name: string) => known.every(({ value }) => value !== name);
  const how = preset === null ? "packed into sequences of 512 tokens" : describeSettings(preset);
  return (
    <>
      <Field
        part="form.input.tokenizer"
        helpPart="form.help.tokenizer"
        id={id}
        type="text"
        label="Then tokenize with (optional)"
        placeholder="gpt2, or a path to tokenizer.json"
        help={`Starts when the data are ready: ${how}. The dataset's Tokenization tab has every setting`}
        list={listId}
        value={tokenizer ?? preset?.tokenizer ?? ""}
        disabled={disabled}
        onChange={(event) => onChange(event.target.value)}
      />
      <Suggestions
        id={listId}
        values={[...known, ...COMMON_TOKENIZERS.filter(isNew).map((value) => ({ value }))]}
      />
    </>
  );
}

/** What to ask the kernel for; it knows its preset itself, and null says that there is to be none. */
export function followUp(
  typed: string | null,
  preset: TokenizationSettingsOutput | null,
): { tokenize?: TokenizationSettingsInput | null } {
  const tokenizer = typed?.trim();
  if (tokenizer === undefined || tokenizer === (preset?.tokenizer ?? "")) return {};
  return { tokenize: tokenizer === "" ? null : { ...preset, tokenizer } };
}

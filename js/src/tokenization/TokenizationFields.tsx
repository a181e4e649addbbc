/** The fields of the tokenization form: only what can take effect can be chosen. */

import {
  DetailInput,
  DetailSelect,
  DetailText,
  type Option,
  type Suggestion,
  Suggestions,
  Switch,
  TriSwitch,
} from "../ui/fields";
import {
  addsSpecialTokens,
  checkForm,
  effective,
  MAX_LENGTH_LIMIT,
  returnsMask,
  type SettingsForm,
} from "./settings";

export const COMMON_TOKENIZERS = [
  "gpt2",
  "EleutherAI/gpt-neox-20b",
  "bert-base-uncased",
  "FacebookAI/roberta-base",
  "google-t5/t5-small",
];

const SPECIAL_TOKENS = ["bos", "eos", "sep"].map((value) => ({ value }));

const MODES: Option<SettingsForm["mode"]>[] = [
  ["packed", "Packed (documents one after another)"],
  ["per_sample", "Per sample (each sample its own sequence)"],
];
const PADDINGS: Option<SettingsForm["padding"]>[] = [
  ["max_length", "Max Length (pad to max_length)"],
  ["longest", "Longest (pad to longest in split)"],
  ["do_not_pad", "Do Not Pad"],
];
const TRUNCATIONS: Option<SettingsForm["truncation"]>[] = [
  ["longest_first", "Longest First"],
  ["only_first", "Only First Text of the Pair"],
  ["only_second", "Only Second Text of the Pair"],
  ["do_not_truncate", "Do Not Truncate"],
];
const CLEANINGS: Option<SettingsForm["cleaning"]>[] = [
  ["off", "Off (texts as they are)"],
  ["safe", "Safe (Unicode, line ends, control characters)"],
];
const MAX_TEMPLATE_CHARS = 200_000;
const ONLY_PER_SAMPLE = "Only per sample: packed sequences are filled from the stream";

export interface TokenizationFieldsProps {
  /** Tokenizers that were used before, this dataset's newest first. */
  knownTokenizers: readonly Suggestion[];
  columns: readonly string[];
  /** Names and rows of the splits. */
  splits: Readonly<Record<string, number>>;
  form: SettingsForm;
  set: (change: Partial<SettingsForm>) => void;
}

export function TokenizationFields(props: TokenizationFieldsProps) {
  return (
    <div data-part="tokenization.fields" className="space-y-4">
      <MainFields {...props} />
      <MoreFields {...props} />
    </div>
  );
}

function MainFields({ knownTokenizers, form, set }: TokenizationFieldsProps) {
  const may = effective(form);
  const errors = checkForm(form);
  const isNew = (tokenizer: string) => knownTokenizers.every(({ value }) => value !== tokenizer);
  const truncations = TRUNCATIONS.filter(
    ([value]) => may.truncateOne || (value !== "only_first" && value !== "only_second"),
  );
  const paddings = PADDINGS.filter(([value]) => value !== "max_length" || may.padToMaxLength);
  return (
    <>
      <DetailInput
        id="tokenization-tokenizer"
        part="tokenization.select.tokenizer"
        label="Tokenizer"
        value={form.tokenizer}
        error={errors.tokenizer}
        help="A HuggingFace id, or a path on the kernel's machine to a tokenizer.json"
        list="tokenization-tokenizers"
        onChange={(tokenizer) => set({ tokenizer })}
      />
      <Suggestions
        id="tokenization-tokenizers"
        values={[
          ...knownTokenizers,
          ...COMMON_TOKENIZERS.filter(isNew).map((value) => ({ value })),
        ]}
      />
      <DetailSelect
        id="tokenization-mode"
        part="tokenization.select.mode"
        label="Mode"
        value={form.mode}
        options={MODES}
        help="Packed fills every sequence; per sample keeps samples apart"
        onChange={(mode) => set({ mode })}
      />
      <DetailInput
        id="tokenization-max-length"
        part="tokenization.input.maxlength"
        label="Max Sequence Length"
        type="number"
        min={1}
        max={MAX_LENGTH_LIMIT}
        value={form.max_length}
        help="Tokens per sequence, special tokens included. Range: 1 to 131,072"
        error={errors.max_length}
        onChange={(max_length) => set({ max_length })}
      />
      <DetailSelect
        id="tokenization-padding-strategy"
        part="tokenization.select.padding"
        label="Padding Strategy"
        value={may.padding ? form.padding : "do_not_pad"}
        options={paddings}
        disabled={!may.padding}
        help={
          may.padding
            ? "Fills shorter sequences up, to the maximum or to the longest of the split"
            : ONLY_PER_SAMPLE
        }
        onChange={(padding) => set({ padding })}
      />
      <DetailSelect
        id="tokenization-truncation-strategy"
        part="tokenization.select.truncation"
        label="Truncation Strategy"
        value={form.truncation}
        options={truncations}
        disabled={!may.truncation}
        help={
          may.truncation
            ? "What is cut of samples longer than the maximum. Pairs can be cut on one side"
            : ONLY_PER_SAMPLE
        }
        onChange={(truncation) => set({ truncation })}
      />
      <TriSwitch
        label="Add Special Tokens"
        name="add special tokens"
        isOn={addsSpecialTokens(form)}
        isChosen={may.specials && form.add_special_tokens !== null}
        disabled={!may.specials}
        help={
          !may.specials
            ? "The chat template writes the special tokens itself"
            : form.add_special_tokens === null
              ? "Automatic: the tokenizer's own template, unless packed"
              : "The tokenizer's own template around every sample"
        }
        onChange={(add_special_tokens) => set({ add_special_tokens })}
      />
      <TriSwitch
        label="Return Attention Mask"
        name="return attention mask"
        trackPart="toggle.track.on.attention"
        isOn={returnsMask(form)}
        isChosen={may.noMask && form.return_attention_mask !== null}
        disabled={!may.noMask}
        help={maskHelp(form, may.noMask)}
        onChange={(return_attention_mask) => set({ return_attention_mask })}
      />
    </>
  );
}

function maskHelp(form: SettingsForm, canChoose: boolean): string {
  if (!canChoose) return "Written: what is padded must be masked";
  if (form.return_attention_mask === null) return "Automatic: written when anything was filled";
  return form.return_attention_mask
    ? "Always written"
    : "Never written; fails when anything must be filled";
}

function MoreFields({ columns, splits: knownSplits, form, set }: TokenizationFieldsProps) {
  const may = effective(form);
  const errors = checkForm(form);
  return (
    <details data-part="tokenization.more" className="space-y-4">
      <summary className="cursor-pointer text-sm font-medium text-slate-300">More options</summary>
      <DetailInput
        id="tokenization-stride"
        part="tokenization.input.stride"
        label="Stride"
        type="number"
        min={0}
        value={may.stride ? form.stride : "0"}
        error={errors.stride}
        disabled={!may.stride}
        help={
          may.stride
            ? "Tokens that neighbouring sequences share"
            : "Needs a truncation; of pairs, one that cuts one side"
        }
        onChange={(stride) => set({ stride })}
      />
      <DetailInput
        id="tokenization-begin"
        part="tokenization.input.begin"
        label="Begin Token"
        placeholder="none"
        value={form.begin}
        list="tokenization-tokens"
        help="At the start of every sequence: bos, eos, sep, a token id or a token"
        onChange={(begin) => set({ begin })}
      />
      <DetailInput
        id="tokenization-separator"
        part="tokenization.input.separator"
        label="Separator"
        placeholder="none"
        value={may.separator ? form.separator : ""}
        disabled={!may.separator}
        list="tokenization-tokens"
        help={
          may.separator
            ? "Between documents: auto is the tokenizer's end of text; empty for none"
            : "Only when packed"
        }
        onChange={(separator) => set({ separator })}
      />
      <Suggestions id="tokenization-tokens" values={SPECIAL_TOKENS} />
      <Switch
        label="Drop Tail"
        name="drop tail"
        isOn={may.drop_tail && form.drop_tail}
        disabled={!may.drop_tail}
        help={
          may.drop_tail
            ? "Drop the last incomplete sequence instead of filling it"
            : "Only when packed"
        }
        onChange={(drop_tail) => set({ drop_tail })}
      />
      <DetailInput
        id="tokenization-shuffle-seed"
        part="tokenization.input.seed"
        label="Shuffle Seed"
        placeholder="not shuffled"
        inputMode="numeric"
        value={form.shuffle_seed}
        error={errors.shuffle_seed}
        help="Shuffles the documents of each split"
        onChange={(shuffle_seed) => set({ shuffle_seed })}
      />
      <DetailInput
        id="tokenization-text-column"
        part="tokenization.input.column"
        label="Text Column"
        placeholder="the dataset's own"
        value={form.text_column}
        list="tokenization-columns"
        help="A column of texts or of conversations"
        onChange={(text_column) => set({ text_column })}
      />
      <DetailInput
        id="tokenization-pair-column"
        part="tokenization.input.pair"
        label="Pair Column"
        placeholder="no pairs"
        value={may.pair_column ? form.pair_column : ""}
        disabled={!may.pair_column}
        list="tokenization-columns"
        help={
          may.pair_column
            ? "The second text of each pair, as for questions and answers"
            : "Only per sample, and not with a chat template"
        }
        onChange={(pair_column) => set({ pair_column })}
      />
      <Suggestions id="tokenization-columns" values={columns.map((value) => ({ value }))} />
      <DetailText
        id="tokenization-chat-template"
        part="tokenization.input.template"
        label="Chat Template"
        placeholder="the tokenizer's own"
        maxLength={MAX_TEMPLATE_CHARS}
        value={form.chat_template}
        help="Conversations only: a Jinja template, or the name of one of the tokenizer's"
        onChange={(chat_template) => set({ chat_template })}
      />
      <DetailSelect
        id="tokenization-cleaning"
        part="tokenization.select.cleaning"
        label="Cleaning"
        value={form.cleaning}
        options={CLEANINGS}
        help="Safe composes Unicode, makes line ends plain and drops control characters"
        onChange={(cleaning) => set({ cleaning })}
      />
      <DetailInput
        id="tokenization-splits"
        part="tokenization.input.splits"
        label="Splits"
        placeholder="all"
        value={form.splits}
        list="tokenization-splits-known"
        help="Tokenize these splits only, with commas between them"
        onChange={(splits) => set({ splits })}
      />
      <Suggestions
        id="tokenization-splits-known"
        values={Object.keys(knownSplits).map((value) => ({ value }))}
      />
      <DetailInput
        id="tokenization-min-chars"
        part="tokenization.input.minchars"
        label="Minimum Characters"
        type="number"
        min={0}
        value={form.min_chars}
        error={errors.min_chars}
        help="Shorter samples are dropped, and counted"
        onChange={(min_chars) => set({ min_chars })}
      />
      <Switch
        label="Skip Invalid Samples"
        name="skip invalid samples"
        isOn={form.skip_invalid}
        help="Drop samples that are not text instead of failing"
        onChange={(skip_invalid) => set({ skip_invalid })}
      />
    </details>
  );
}

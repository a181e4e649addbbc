/** Inputs as they look inside the dialog of a dataset. */

import { type InputHTMLAttributes, type ReactNode, useId } from "react";
import { classes } from "./ui";

const LOOK = classes(
  "w-full rounded-lg border border-slate-700 bg-slate-900 px-4 py-2 text-slate-100",
  "focus:border-emerald-500 focus:outline-none",
  "disabled:cursor-not-allowed disabled:opacity-50",
);

interface RowProps {
  id: string;
  label: string;
  help?: string | undefined;
  error?: string | undefined;
  children: ReactNode;
}

function Row({ id, label, help, error, children }: RowProps) {
  return (
    <div>
      <label
        htmlFor={id}
        data-part="tokenization.label"
        className="mb-2 block text-sm font-medium text-slate-300"
      >
        {label}
      </label>
      {children}
      {(error ?? help) !== undefined && (
        <p
          id={`${id}-help`}
          data-part="tokenization.help"
          className={classes("mt-2 text-xs", error ? "text-red-400" : "text-slate-500")}
        >
          {error ?? help}
        </p>
      )}
    </div>
  );
}

export interface DetailInputProps
  extends Omit<InputHTMLAttributes<HTMLInputElement>, "onChange" | "id"> {
  id: string;
  part: string;
  label: string;
  help?: string | undefined;
  error?: string | undefined;
  onChange: (value: string) => void;
}

export function DetailInput({ id, part, label, help, error, onChange, ...rest }: DetailInputProps) {
  return (
    <Row id={id} label={label} help={help} error={error}>
      <input
        id={id}
        data-part={`tokenization.input ${part}`}
        type="text"
        autoComplete="off"
        spellCheck={false}
        aria-invalid={error ? true : undefined}
        aria-describedby={(error ?? help) === undefined ? undefined : `${id}-help`}
        className={LOOK}
        onChange={(event) => onChange(event.target.value)}
        {...rest}
      />
    </Row>
  );
}

export interface DetailTextProps {
  id: string;
  part: string;
  label: string;
  value: string;
  help: string;
  placeholder: string;
  maxLength: number;
  onChange: (value: string) => void;
}

/** A text of several lines. */
export function DetailText({ id, part, label, help, onChange, ...rest }: DetailTextProps) {
  return (
    <Row id={id} label={label} help={help}>
      <textarea
        id={id}
        data-part={part}
        rows={3}
        spellCheck={false}
        aria-describedby={`${id}-help`}
        className={classes(LOOK, "resize-y font-mono text-sm")}
        onChange={(event) => onChange(event.target.value)}
        {...rest}
      />
    </Row>
  );
}

export type Option<Value extends string> = readonly [value: Value, label: string];

export interface DetailSelectProps<Value extends string> {
  id: string;
  part: string;
  label: string;
  value: Value;
  options: readonly Option<Value>[];
  disabled?: boolean;
  help?: string | undefined;
  onChange: (value: Value) => void;
}

export function DetailSelect<Value extends string>(props: DetailSelectProps<Value>) {
  const { id, part, label, value, options, disabled, help, onChange } = props;
  const choose = (chosen: string) => {
    const option = options.find(([name]) => name === chosen);
    if (option !== undefined) onChange(option[0]);
  };
  return (
    <Row id={id} label={label} help={help}>
      <select
        id={id}
        data-part={`tokenization.select ${part}`}
        value={value}
        disabled={disabled}
        aria-describedby={help === undefined ? undefined : `${id}-help`}
        className={LOOK}
        onChange={(event) => choose(event.target.value)}
      >
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </Row>
  );
}

export interface Suggestion {
  /** What is filled in. */
  value: string;
  /** What it is called, where that is something else. */
  label?: string;
}

export function Suggestions({ id, values }: { id: string; values: readonly Suggestion[] }) {
  return (
    <datalist id={id}>
      {values.map(({ value, label }) => (
        <option key={value} value={value} label={label === value ? undefined : label} />
      ))}
    </datalist>
  );
}

export interface SwitchProps {
  label: string;
  /** In lower case, for "Toggle add special tokens off". */
  name: string;
  isOn: boolean;
  help?: string;
  disabled?: boolean;
  trackPart?: string;
  children?: ReactNode;
  onChange: (value: boolean) => void;
}

export function Switch(props: SwitchProps) {
  const { label, name, isOn, help, disabled, trackPart, children, onChange } = props;
  const state = isOn ? "on" : "off";
  const id = useId();
  return (
    <div
      data-part="toggle.row"
      className="flex items-center justify-between rounded-lg bg-slate-800/30 p-4"
    >
      <div className="min-w-0 pr-4">
        <label
          htmlFor={id}
          data-part="toggle.label"
          className="block text-sm font-medium text-slate-300"
        >
          {label}
        </label>
        {help && (
          <div data-part="toggle.help" className="text-xs text-slate-500">
            {help}
            {children}
          </div>
        )}
      </div>
      <button
        id={id}
        type="button"
        data-part={classes(`toggle.track.${state}`, isOn && trackPart)}
        aria-label={`Toggle ${name} ${isOn ? "off" : "on"}`}
        aria-pressed={isOn}
        disabled={disabled}
        onClick={() => onChange(!isOn)}
        className={classes(
          "relative h-6 w-12 shrink-0 rounded-full transition-colors",
          "disabled:cursor-not-allowed disabled:opacity-50",
          isOn ? "bg-emerald-600" : "bg-slate-600",
        )}
      >
        <div
          data-part={`toggle.knob.${state}`}
          className={classes(
            "absolute top-1 h-4 w-4 rounded-full bg-white transition-transform",
            isOn ? "translate-x-7" : "translate-x-1",
          )}
        />
      </button>
    </div>
  );
}

export interface TriSwitchProps extends Omit<SwitchProps, "onChange" | "children"> {
  /** Whether a person chose; else the kernel decides, and the switch shows what it will do. */
  isChosen: boolean;
  onChange: (value: boolean | null) => void;
}

export function TriSwitch({ isChosen, onChange, ...rest }: TriSwitchProps) {
  return (
    <Switch {...rest} onChange={onChange}>
      {isChosen && (
        <>
          {" • "}
          <button type="button" className="underline" onClick={() => onChange(null)}>
            Automatic
          </button>
        </>
      )}
    </Switch>
  );
}

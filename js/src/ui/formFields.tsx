/** Forms of the panel itself; fields.tsx has those of the dialog, which look different. */

import { Eye, EyeOff } from "lucide-react";
import {
  type FormHTMLAttributes,
  type InputHTMLAttributes,
  type KeyboardEvent,
  type ReactNode,
  type SelectHTMLAttributes,
  useId,
  useState,
} from "react";
import { classes } from "./ui";

export interface FormProps extends FormHTMLAttributes<HTMLFormElement> {
  part?: string;
}

/** A form that Enter submits also in JupyterLab, which takes the key's default away. */
export function Form({ part, ...rest }: FormProps) {
  const submitOnEnter = (event: KeyboardEvent<HTMLFormElement>) => {
    const { target } = event;
    if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
    if (!(target instanceof HTMLInputElement)) return;
    event.preventDefault();
    event.currentTarget.requestSubmit();
  };
  return <form data-part={part} noValidate onKeyDown={submitOnEnter} {...rest} />;
}

export interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  help?: ReactNode;
  error?: string | null;
  /** Whether it is wrong, where the reason stands elsewhere. */
  isWrong?: boolean;
  part: string;
  helpPart?: string;
  /** What stands inside the input, at its end. */
  adornment?: ReactNode;
}

/** A labelled text input of the form. */
export function Field(props: FieldProps) {
  const { label, help, error, isWrong, part, helpPart, adornment, className, ...input } = props;
  const helpId = useId();
  return (
    <div data-part="form.field">
      <FieldLabel htmlFor={input.id}>{label}</FieldLabel>
      <div className="relative">
        <input
          data-part={`form.input ${part}`}
          aria-invalid={error || isWrong ? true : undefined}
          aria-describedby={help !== undefined || error ? helpId : undefined}
          className={classes(INPUT_LOOK, className ?? "py-2")}
          autoComplete="off"
          spellCheck={false}
          {...input}
        />
        {adornment}
      </div>
      <FieldHelp id={helpId} help={help} error={error} part={helpPart} />
    </div>
  );
}

/** An input for what nobody else should read from the screen. */
export function SecretField(props: Omit<FieldProps, "type" | "adornment">) {
  const [isShown, setShown] = useState(false);
  const isEmpty = props.value === "";
  // the next secret is hidden again
  if (isEmpty && isShown) setShown(false);
  const Icon = isShown ? EyeOff : Eye;
  const label = isShown ? "Hide token" : "Show token";
  return (
    <Field
      {...props}
      type={isShown ? "text" : "password"}
      adornment={
        <button
          type="button"
          data-part="form.reveal"
          aria-label={label}
          title={label}
          disabled={props.disabled || isEmpty}
          onClick={() => setShown(!isShown)}
          className="absolute inset-y-0 right-0 px-3 text-slate-400 enabled:hover:text-slate-200 disabled:opacity-50"
        >
          <Icon size={16} aria-hidden="true" />
        </button>
      }
    />
  );
}

export interface SelectFieldProps extends SelectHTMLAttributes<HTMLSelectElement> {
  label: string;
  help: string;
  error?: string | null;
  part: string;
  options: readonly (readonly [value: string, label: string])[];
}

/** A labelled choice of the form. */
export function SelectField({ label, help, error, part, options, ...select }: SelectFieldProps) {
  const helpId = useId();
  return (
    <div data-part="form.field">
      <FieldLabel htmlFor={select.id}>{label}</FieldLabel>
      <select
        data-part={`form.input ${part}`}
        aria-invalid={error ? true : undefined}
        aria-describedby={helpId}
        // browsers indent what is chosen by 4 px, and make it lower than an input
        className={classes(INPUT_LOOK, "h-[42px] !px-3")}
        {...select}
      >
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
      <FieldHelp id={helpId} help={help} error={error} />
    </div>
  );
}

interface FieldHelpProps {
  id: string;
  help: ReactNode;
  error?: string | null | undefined;
  part?: string | undefined;
}

function FieldHelp({ id, help, error, part }: FieldHelpProps) {
  if (help === undefined && !error) return null;
  return (
    <p
      id={id}
      data-part={classes("form.help", part)}
      className={classes("mt-1 text-xs", error ? "text-red-400" : "text-slate-500")}
    >
      {error || help}
    </p>
  );
}

export const INPUT_LOOK = classes(
  "w-full rounded border border-slate-700 bg-slate-800 px-4 text-slate-100",
  "placeholder-slate-500 focus:border-transparent focus:outline-none",
  "focus:ring-2 focus:ring-emerald-500 disabled:opacity-50",
  "aria-[invalid=true]:!border-red-500",
);

export function FieldLabel({
  htmlFor,
  children,
}: {
  htmlFor: string | undefined;
  children: ReactNode;
}) {
  return (
    <label
      htmlFor={htmlFor}
      data-part="form.label"
      className="mb-2 block text-sm font-medium text-slate-300"
    >
      {children}
    </label>
  );
}

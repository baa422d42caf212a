import { parseArgs } from 'node:util';
import { UsageError } from './failure.js';

export interface Option {
  readonly type: 'string' | 'boolean';
  /** The placeholder for the value in the help, such as `<file>`. */
  readonly value?: string;
  readonly help: string;
  /** The environment variable to read if the option is not given. */
  readonly env?: string;
}

export interface Values {
  readonly text: (option: string) => string | undefined;
  readonly flag: (option: string) => boolean;
}

/** What a command asks for beside its arguments. */
export interface Input {
  /** A password from the terminal or standard input, never from an argument. Throws a failure if there is none. */
  password(): Promise<string>;
}

/** The output of a command: `data` for `--json`, `text` for people. It is printed as a whole, once, on stdout. */
export interface Answer {
  readonly data: object;
  readonly text: string;
  /** 0: done; 1: done, with bad news. */
  readonly exitCode?: 0 | 1;
}

export interface Command {
  /** A name may have two words, as in `sessions list`. */
  readonly name: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  /** Further notes, printed below the options. */
  readonly notes?: string;
  run(values: Values, input: Input): Promise<Answer>;
}

export const GENERAL: Readonly<Record<string, Option>> = {
  json: { type: 'boolean', help: 'One JSON document on stdout, also for a failure' },
  help: { type: 'boolean', help: 'This text' },
};

/** Throws `UsageError` for everything the command does not know. */
export function valuesOf(command: Command, args: readonly string[], env: NodeJS.ProcessEnv): Values {
  const options = { ...command.options, ...GENERAL };
  const { values, tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.entries(options).map(([name, { type }]) => [name, { type }])),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    // An argument may be a database's address with its password, so only text that looks like an option's name is
    // repeated.
    if (token.kind === 'positional') throw new UsageError(`${command.name} takes options only, no other arguments.`);
    if (token.kind !== 'option') continue;
    const known = Object.hasOwn(options, token.name) ? options[token.name]! : undefined;
    if (!known)
      throw new UsageError(`Unknown option ${/^--?[\w-]{1,40}$/.exec(token.rawName)?.[0] ?? ''}`.trim() + '.');
    if (known.type === 'string' && (token.value ?? '') === '') throw new UsageError(`--${token.name} needs a value.`);
    if (known.type === 'boolean' && token.value !== undefined) throw new UsageError(`--${token.name} takes no value.`);
  }
  return {
    text: (option) => {
      const given = values[option] ?? env[options[option]?.env ?? ''];
      return typeof given === 'string' && given !== '' ? given : undefined;
    },
    flag: (option) => values[option] === true,
  };
}

/** The value, or a `UsageError` if it is missing. */
export function required(values: Values, option: string): string {
  const value = values.text(option);
  if (value === undefined) throw new UsageError(`--${option} is missing.`);
  return value;
}

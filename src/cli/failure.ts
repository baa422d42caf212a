/** The command was called incorrectly: prints the usage, exit code 2. The message repeats no argument's value. */
export class UsageError extends Error {}

/** The command cannot be carried out: prints this one line, exit code 1. */
export class CommandFailure extends Error {
  /** What to do by hand instead, in several lines. */
  readonly instructions: string | undefined;

  constructor(
    /** Stable, for `--json`. */
    readonly code: string,
    message: string,
    options?: ErrorOptions & { readonly instructions?: string },
  ) {
    super(message, options);
    this.instructions = options?.instructions;
  }
}

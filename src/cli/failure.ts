/** The command was called incorrectly: prints the usage, exit code 2. The message repeats no argument's value. */
export class UsageError extends Error {}

/** The command cannot be carried out: prints this one line, exit code 1. */
export class CommandFailure extends Error {
  constructor(
    /** Stable, for `--json`. */
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

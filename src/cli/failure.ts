/** The command was called incorrectly: usage, exit 2. The message repeats no argument's value. */
export class UsageError extends Error {}

/** What was asked for cannot be done: this one line, exit 1. */
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

export interface FileChange {
  readonly path: string;
  /** `undefined`: the file is new. */
  readonly before: string | undefined;
  readonly after: string;
}

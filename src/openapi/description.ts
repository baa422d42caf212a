import type { ErrorName } from './auth-errors.js';
import type { BodyName, SchemaName } from './auth-schemas.js';

/** What the document says of one route. */
export interface Description {
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  /** Whether a session is needed, ended if there is one, or of no use. */
  readonly session: 'needed' | 'optional' | 'none';
  /**
   * Whether a right answer has `Set-Cookie` for the session: always, sometimes, or never; or always for a flow, which it
   * ties to this browser.
   */
  readonly cookie: 'set' | 'renewed' | 'none' | 'flow';
  /** Whether the requests of one client are limited, which every answer behind that limit says: all right ones, or some. */
  readonly limited?: boolean | 'sometimes';
  /** Whether a right answer may empty the browser's store. */
  readonly clears?: boolean;
  /** What it takes. */
  readonly takes?: BodyName;
  readonly parameters?: readonly object[];
  /** The status of a right answer. Default 200. */
  readonly status?: number;
  /** What a right answer says, and its schema: none if it only leads elsewhere. */
  readonly done?: string;
  readonly answer?: SchemaName;
  /** Where a browser is sent (303), if it is; without `done` always. */
  readonly leads?: string;
  readonly errors: readonly ErrorName[];
}

/** The part of a `pg` pool or client that is used here. */
export interface Connection {
  query(query: {
    name?: string;
    text: string;
    values: unknown[];
    /** Milliseconds. */
    query_timeout?: number;
  }): Promise<{ rows: unknown[]; rowCount: number | null }>;
}

/** A client checked out of its pool. */
export interface Client extends Connection {
  release(destroy?: boolean): void;
  on(event: 'error', listener: (error?: Error) => void): void;
  off(event: 'error', listener: (error?: Error) => void): void;
}

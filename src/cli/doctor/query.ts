/** Runs one read-only statement. */
export type Query = <Row>(sql: string, values?: unknown[]) => Promise<Row[]>;

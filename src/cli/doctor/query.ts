/** Runs one statement that reads. */
export type Query = <Row>(sql: string, values?: unknown[]) => Promise<Row[]>;

/** The PostgreSQL types that user ids may have; `authSchemaFor` makes the session table fit. */
export type UserIdType = 'uuid' | 'integer' | 'bigint' | 'text';

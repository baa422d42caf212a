/** A UUID in its usual spelling, letters of either case: what PostgreSQL takes as one without a fault. */
export const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

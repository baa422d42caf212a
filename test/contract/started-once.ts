import { afterAll, beforeAll, beforeEach } from '@jest/globals';

/** What a contract is run against: started before its first test, empty before each, closed after its last. */
export function startedOnce<Subject extends { clear(): Promise<void>; close(): Promise<void> }>(
  start: () => Promise<Subject>,
): () => Subject {
  let subject: Subject | undefined;
  beforeAll(async () => void (subject = await start()));
  afterAll(() => subject?.close());
  beforeEach(() => subject!.clear());
  return () => subject!;
}

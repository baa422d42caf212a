import { afterAll, beforeAll } from '@jest/globals';
import { AuthEvents, type AuthEvent } from 'nestjs-latchkey';
import { startTestApp, type TestApp, type TestAppOptions } from './app.js';

/** One application for all tests of this `describe` (or file): from before the first of them until after the last. */
export function sharedTestApp(options: TestAppOptions = {}): TestApp {
  let t: TestApp;
  beforeAll(async () => void (t = await startTestApp(options)), 60_000);
  afterAll(() => t?.close());
  return {
    get app() {
      return t.app;
    },
    get clock() {
      return t.clock;
    },
    get queries() {
      return t.queries;
    },
    get db() {
      return t.db;
    },
    get url() {
      return t.url;
    },
    close: () => t.close(),
  };
}

/** Everything that this application tells of from its start on; it grows. */
export function eventsHeard(t: Pick<TestApp, 'app'>): AuthEvent[] {
  const heard: AuthEvent[] = [];
  beforeAll(() => void t.app.get(AuthEvents).on((event) => void heard.push(event)));
  return heard;
}

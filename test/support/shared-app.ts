import { afterAll, beforeAll } from '@jest/globals';
import { AuthEvents, type AuthEvent } from 'nestjs-latchkey';
import { closeAll, startTestApp, type TestApp, type TestAppOptions } from './app.js';

/** One application for all tests of this `describe` (or file): from before the first of them until after the last. */
export function sharedTestApp(options: TestAppOptions = {}): TestApp {
  let t: TestApp;
  beforeAll(async () => void (t = await startTestApp(options)), 60_000);
  afterAll(() => t?.close());
  return startedBy(() => t);
}

/** As {@link sharedTestApp}, two with one database, each with a pool of its own. */
export function sharedPairOfApps(first: TestAppOptions, second: TestAppOptions = first): readonly [TestApp, TestApp] {
  let [t, other]: TestApp[] = [];
  beforeAll(async () => {
    t = await startTestApp(first);
    other = await startTestApp({ ...second, url: t.db.url });
  }, 60_000);
  afterAll(() => closeAll(other, t));
  return [startedBy(() => t!), startedBy(() => other!)];
}

/** Everything that this application tells of from its start on; it grows. */
export function eventsHeard(t: Pick<TestApp, 'app'>): AuthEvent[] {
  const heard: AuthEvent[] = [];
  beforeAll(() => void t.app.get(AuthEvents).on((event) => void heard.push(event)));
  return heard;
}

/** What it is once it has started. */
const startedBy = (started: () => TestApp): TestApp => ({
  get app() {
    return started().app;
  },
  get clock() {
    return started().clock;
  },
  get queries() {
    return started().queries;
  },
  get db() {
    return started().db;
  },
  get url() {
    return started().url;
  },
  close: () => started().close(),
});

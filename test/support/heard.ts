import type { INestApplicationContext } from '@nestjs/common';
import { AuthEvents, type AuthEvent } from 'nestjs-latchkey';
import { InvalidationChannel, type Invalidation } from 'nestjs-latchkey/engine';

/** Resolves with the next invalidation that the application hears of and that is the one meant. Ask before it is sent. */
export function heard(
  app: INestApplicationContext,
  isMeant: (invalidation: Invalidation) => boolean = () => true,
): Promise<Invalidation> {
  return new Promise((resolve) => {
    const stop = app.get(InvalidationChannel).subscribe((invalidation) => {
      if (!isMeant(invalidation)) return;
      stop();
      resolve(invalidation);
    });
  });
}

/** Every reuse of a rotated token that the application tells of from now on; it grows. */
export function reusesHeard(app: INestApplicationContext): AuthEvent[] {
  return listen(app).events;
}

/** Every reuse of a rotated token that the application tells of while `work` runs. */
export async function reusesDuring(app: INestApplicationContext, work: () => Promise<unknown>): Promise<AuthEvent[]> {
  const { events, stop } = listen(app);
  await work();
  stop();
  return events;
}

function listen(app: INestApplicationContext): { events: AuthEvent[]; stop: () => void } {
  const events: AuthEvent[] = [];
  const stop = app.get(AuthEvents).on((event) => void (event.type === 'session.reuse_detected' && events.push(event)));
  return { events, stop };
}

/** Resolves when the condition holds; what waits for another process or a connection has nothing better to wait for. */
export async function until(condition: () => boolean | Promise<boolean>, within = 20_000): Promise<void> {
  const deadline = performance.now() + within;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${within} ms: ${condition.toString()}`);
    await new Promise((next) => setTimeout(next, 5));
  }
}

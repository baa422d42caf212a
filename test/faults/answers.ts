import type { Response } from 'supertest';
import type { Visit } from './public-routes.js';

export interface Answered {
  readonly visit: Visit;
  readonly answer: Response;
  readonly ms: number;
}

/** All at once, as they come in a fault; or so many of them, where more would only wait for each other's connections. */
export async function sendAll(visits: readonly Visit[], atOnce = visits.length): Promise<Answered[]> {
  if (visits.length > atOnce) {
    return [...(await sendAll(visits.slice(0, atOnce))), ...(await sendAll(visits.slice(atOnce), atOnce))];
  }
  return Promise.all(
    visits.map(async (visit) => {
      const began = performance.now();
      const answer = await visit.send();
      return { visit, answer, ms: performance.now() - began };
    }),
  );
}

/** What an answer may be, whatever is wrong: the right one, or 503 that changes nothing. `null`: nothing to object to. */
export function objectionTo({ visit, answer }: Answered): string | null {
  const { status, headers, body } = answer;
  const said = `${visit.name}: ${status} ${JSON.stringify(body)}`;
  if (status === visit.healthy) return null;
  if (status !== 503) return said;
  if (visit.needsNothing) return `${said}, though nothing has to be asked`;
  if ((body as { code?: string }).code !== 'STORE_UNAVAILABLE') return said;
  // One that was renewed before the fault showed is as good as before.
  if (/max-age=0\b/i.test(String(headers['set-cookie']))) return `${said} takes the cookie away`;
  return headers['www-authenticate'] === undefined ? null : `${said} asks for credentials`;
}

/** Names of the visits that got this status. */
export const namesOf = (answers: readonly Answered[], isMeant: (answered: Answered) => boolean) =>
  answers.filter(isMeant).map(({ visit }) => visit.name);

import type { RemovedSession } from '../../session/evicted-sessions.js';
import type { StoredSessionData } from '../../session/session-data.js';
import type { AssuranceLevel, Rotation, Session } from '../../session/session.js';

/** A session as a field of its user's hash. */
export interface SessionRow {
  readonly session: Session;
  readonly rotated: Rotation | null;
}

const NONE = '~';
const REMEMBERED = '1';
const FORGOTTEN = '0';

/** An optional text, as one word for the scripts. */
export function word(text: string | null): string {
  return text === null ? NONE : `=${Buffer.from(text).toString('base64url')}`;
}

/** What a login chose, as one word. */
export function choiceOf(remembered: boolean | undefined): string {
  if (remembered === undefined) return NONE;
  return remembered ? REMEMBERED : FORGOTTEN;
}

function fromWord(text: string): string | null {
  return text === NONE ? null : Buffer.from(text.slice(1), 'base64url').toString();
}

/**
 * The rest, as JSON, of which scripts look only at the end: aal and amr, which a mere rotation keeps (both missing in a
 * row of an older version, whose processes drop them when they rotate: the session is then worth less). In front of it, as words, are the fields that scripts decide about:
 * handle, created, expires, absolute, authenticated, seen, rotated, successor, remembered (missing in a row of an older
 * version). Instants are full epoch milliseconds, which the scripts compare and pass on but never calculate with, so
 * that nothing is rounded.
 */
export function tailOf({ userId, ip, userAgent, aal = 1, amr }: Tail): string {
  return JSON.stringify([userId, ip, userAgent, ...(amr === undefined ? [] : [aal, amr])]);
}

type Tail = Pick<Session, 'userId' | 'ip' | 'userAgent'> & {
  readonly aal?: AssuranceLevel | undefined;
  readonly amr?: readonly string[] | undefined;
};

export function parseRow(id: string, row: string): SessionRow {
  const end = row.indexOf('\n');
  const [handle, created, expires, absolute, authenticated, seen, rotatedAt, successor, remembered = NONE] = row
    .slice(0, end)
    .split(' ') as [string, string, string, string, string, string, string, string, string?];
  const [rest, ...data] = row.slice(end + 1).split('\n') as [string, ...string[]];
  const [userId, ip, userAgent, aal = 1, amr = []] = JSON.parse(rest) as [
    string,
    string | null,
    string | null,
    AssuranceLevel?,
    string[]?,
  ];
  return {
    session: {
      id,
      handle,
      userId,
      createdAt: Number(created),
      expiresAt: Number(expires),
      absoluteExpiresAt: Number(absolute),
      authenticatedAt: Number(authenticated),
      aal,
      amr,
      lastSeenAt: Number(seen),
      ip,
      userAgent,
      ...(remembered === NONE ? {} : { remembered: remembered === REMEMBERED }),
      data: parseData(data),
    },
    rotated: rotatedAt === NONE ? null : { at: Number(rotatedAt), successor: fromWord(successor) },
  };
}

/**
 * The session's data follows, one field a line: its name and its value as JSON, which is never broken by a tab or line
 * feed, with a tab between. The scripts change whole lines and never read the values.
 */
export function parseData(lines: readonly string[]): StoredSessionData {
  return JSON.parse(`{${lines.map((line) => line.replace('\t', ':')).join(',')}}`) as StoredSessionData;
}

/** A row of this user that a script has removed. */
export function parseRemoved(words: string, userId: string): RemovedSession {
  const [id, handle, expires, rotated] = words.split(' ') as [string, string, string, string];
  return { id, userId, handle, expiresAt: Number(expires), isRotated: rotated !== NONE };
}

import type { Session } from './session.js';

const MAX_USER_AGENT_LENGTH = 512;
const MAX_IP_LENGTH = 45;

/**
 * Where a session comes from, as it is stored. Header values are untrusted: control characters are replaced, and the
 * length is cut to what a list shows.
 */
export function printableContext(
  context: Partial<Pick<Session, 'ip' | 'userAgent'>>,
): Pick<Session, 'ip' | 'userAgent'> {
  return {
    ip: printable(context.ip, MAX_IP_LENGTH),
    userAgent: printable(context.userAgent, MAX_USER_AGENT_LENGTH),
  };
}

function printable(value: string | null | undefined, maxLength: number): string | null {
  return value ? value.replaceAll(/\p{Cc}/gu, ' ').slice(0, maxLength) : null;
}

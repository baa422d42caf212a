import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** What is a secret wherever it stands in a body. */
const SECRET = new Set([
  'password',
  'currentPassword',
  'newPassword',
  'token',
  'key',
  'secret',
  'backupCodes',
  'challenge',
  'signature',
  'authenticatorData',
  'clientDataJSON',
]);

/** Keeps every secret that goes over the wire from now on, either way: of bodies, cookies and bearer tokens. */
export function secretsOnTheWire(server: Server): Set<string> {
  const secrets = new Set<string>();
  const keepCookies = (pairs: string) => {
    for (const pair of pairs.split(/; ?/)) {
      for (const part of pair.slice(pair.indexOf('=') + 1).split('.')) if (part.length > 20) secrets.add(part);
    }
  };
  const keepFields = (body: unknown, keys: ReadonlySet<string>, isSecret = false): void => {
    if (typeof body === 'string' && isSecret && body !== '') secrets.add(body);
    if (typeof body !== 'object' || body === null) return;
    for (const [name, value] of Object.entries(body)) {
      keepFields(value, keys, Array.isArray(body) ? isSecret : keys.has(name));
    }
  };
  server.on('request', (asked: IncomingMessage, answer: ServerResponse) => {
    if (asked.headers.cookie) keepCookies(asked.headers.cookie);
    if (asked.headers.authorization) secrets.add(asked.headers.authorization.replace('Bearer ', ''));
    // In an answer `code` is that of an error.
    onEnd(asked, 'emit', (body) => keepFields(body, new Set([...SECRET, 'code'])));
    onEnd(answer, 'end', (body) => keepFields(body, SECRET));
    answer.once('finish', () =>
      [answer.getHeader('set-cookie') ?? []].flat().forEach((one) => keepCookies(String(one))),
    );
  });
  return secrets;
}

/** Reads along, and takes nothing away from whoever reads or writes the message. */
function onEnd(message: object, method: 'emit' | 'end', keep: (body: unknown) => void): void {
  const target = message as Record<string, (...args: unknown[]) => unknown>;
  const original = target[method]!.bind(message);
  let text = '';
  target[method] = (...args: unknown[]) => {
    if (method === 'end') keep(parsed(typeof args[0] === 'string' || Buffer.isBuffer(args[0]) ? String(args[0]) : ''));
    else if (args[0] === 'data') text += String(args[1]);
    else if (args[0] === 'end') keep(parsed(text));
    return original(...args);
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

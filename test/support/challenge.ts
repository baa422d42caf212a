export interface Challenge {
  scheme: string;
  parameters: Record<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = String.raw`"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)"`;
const PARAMETER = `(${TOKEN})[ \t]*=[ \t]*(?:${QUOTED}|(${TOKEN}))`;
const CHALLENGE = new RegExp(`^(${TOKEN})(?: +(${PARAMETER}(?:[ \t]*,[ \t]*${PARAMETER})*))?$`);

/** The one challenge of `WWW-Authenticate`, as RFC 9110, section 11.6.1, writes it; throws for anything else. */
export function challengeIn(header: string): Challenge {
  const [matched, scheme, list = ''] = CHALLENGE.exec(header) ?? [];
  if (matched === undefined) throw new Error(`This is no challenge: ${header}`);
  const parameters = [...list.matchAll(new RegExp(PARAMETER, 'g'))].map(
    ([, name, quoted, token]) => [name!, quoted?.replaceAll(/\\(.)/g, '$1') ?? token!] as const,
  );
  if (new Set(parameters.map(([name]) => name)).size < parameters.length) throw new Error(`Twice in ${header}`);
  return { scheme: scheme!, parameters: Object.fromEntries(parameters) };
}

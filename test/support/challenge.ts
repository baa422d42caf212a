export interface Challenge {
  scheme: string;
  parameters: Record<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = String.raw`"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)"`;

/** `WWW-Authenticate` as RFC 9110, section 11.6.1, writes it; throws for anything else. */
export function challengesIn(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let rest = header;
  const take = (pattern: string): RegExpExecArray | null => {
    const found = new RegExp(`^${pattern}`).exec(rest);
    if (found) rest = rest.slice(found[0].length);
    return found;
  };
  while (rest !== '') {
    const parameter = take(`(${TOKEN})[ \t]*=[ \t]*(?:${QUOTED}|(${TOKEN}))`);
    const current = challenges.at(-1);
    if (parameter && current) {
      const [, name, quoted, token] = parameter;
      if (name! in current.parameters) throw new Error(`${name} is there twice.`);
      current.parameters[name!] = quoted?.replaceAll(/\\(.)/g, '$1') ?? token!;
    } else {
      const scheme = parameter ? null : take(`(${TOKEN})(?: +|$)`);
      if (!scheme) throw new Error(`This is no challenge: ${header}`);
      challenges.push({ scheme: scheme[1]!, parameters: {} });
      continue;
    }
    if (rest !== '' && !take('[ \t]*,[ \t]*')) throw new Error(`There is no comma: ${header}`);
  }
  return challenges;
}

import { LONG } from './long.js';
import { randomFrom } from './random.js';

// A look at a global costs ten times the rest of it in Jest's modules.
const { floor } = Math;
const { fromCharCode } = String;

/** Inputs of each test, many times as many in the project `long`. */
export const FUZZED = LONG ? 100_000 : 5_000;

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** What lenient readers drop, fold or take for something else. The last ones are ASCII letters plus 256, half a pair. */
const ODD = ['=', '+', '/', '.', ' ', '\n', '\r', '\t', '\0', '%', '"', '\u00ad', '\u200b', 'Ł', 'š', '\ud800', '😀'];

/**
 * `count` inputs for a decoder, half of them random texts and half of them small changes to one of `valid`. None of
 * them is one of `valid`.
 */
export function* fuzz(valid: readonly string[], count: number, seed = 1): Generator<string> {
  const random = randomFrom(seed);
  const below = (n: number) => floor(random() * n);
  const pick = <T>(list: ArrayLike<T>) => list[below(list.length)] as T;
  const character = () => (random() < 0.7 ? pick(BASE64URL) : pick(ODD));

  const randomText = () => {
    const next = () => (random() < 0.05 ? '.' : random() < 0.95 ? pick(BASE64URL) : fromCharCode(below(65_536)));
    return Array.from({ length: below(200) }, next)
      .join('')
      .repeat(random() < 0.01 ? 500 : 1);
  };
  const changes: ((text: string, at: number) => string)[] = [
    (text, at) => text.slice(0, at) + character() + text.slice(at + 1),
    (text, at) => text.slice(0, at) + character() + text.slice(at),
    (text, at) => text.slice(0, at) + text.slice(at + 1),
    (text, at) => text.slice(0, at) + fromCharCode(text.charCodeAt(at) + 256) + text.slice(at + 1),
    (text, at) => text.slice(0, at),
    (text, at) => text.slice(at),
    (text) => text + character(),
    (text) => character() + text,
    (text) => text.slice(0, -1) + pick(BASE64URL),
    (text) => text + '='.repeat(1 + below(3)),
    (text) => text.toUpperCase(),
    (text) => text + text,
    (text) => text.split('.').toReversed().join('.'),
    (text) => [...text.split('.'), pick(text.split('.'))].join('.'),
    (text, at) => text.slice(0, at) + pick(valid).slice(at),
    (text) => text.replace('-', '+').replace('_', '/'),
  ];
  for (let made = 0; made < count;) {
    const original = pick(valid);
    const input = made % 2 === 0 ? randomText() : pick(changes)(original, below(original.length));
    if (valid.includes(input)) continue;
    made++;
    yield input;
  }
}

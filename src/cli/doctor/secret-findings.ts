import { finding, type Finding } from './finding.js';

/** Words of at least six letters: a random secret contains one by accident less than once in ten million. */
const PLACEHOLDERS =
  /change.?(?:me|this|it)|your.?secret|my.?secret|super.?secret|replace.?me|placeholder|password|example|keyboard.?cat|default|insert.?here|development|jwt.?secret|auth.?secret/i;
/** 32 random hexadecimal digits have fewer than this once in a hundred million. */
const MIN_DISTINCT = 8;
const REMEDY = 'Make one with `npx nestjs-latchkey secret`, and put it first in `secrets`.';

/** Secrets that are long enough but guessable. A message names the position in the list, never the secret. */
export function secretFindings(secrets: readonly string[]): Finding[] {
  return secrets.flatMap((secret, index) => {
    const weakness = weaknessOf(secret);
    return weakness ? [finding('AUTH_D02', `secrets[${index}] ${weakness}.`, REMEDY)] : [];
  });
}

function weaknessOf(secret: string): string | null {
  if (PLACEHOLDERS.test(secret)) return 'contains the words of a placeholder';
  if (new Set(secret).size < MIN_DISTINCT) return `consists of ${new Set(secret).size} different characters`;
  if (isRepeated(secret)) return 'repeats itself';
  if (isSequence(secret)) return 'is a sequence such as abc… or 123…';
  return null;
}

/** Whether it is the same text repeated, the last time perhaps cut short. */
function isRepeated(text: string): boolean {
  return Array.from({ length: Math.floor(text.length / 2) }, (_, i) => text.slice(0, i + 1)).some((part) =>
    text.startsWith(part.repeat(Math.ceil(text.length / part.length)).slice(0, text.length)),
  );
}

/** Whether more than half of the characters follow the one before in the alphabet. */
function isSequence(text: string): boolean {
  const steps = Array.from(text.slice(1), (_, i) => text.charCodeAt(i + 1) - text.charCodeAt(i));
  return steps.filter((step) => Math.abs(step) === 1).length > steps.length / 2;
}

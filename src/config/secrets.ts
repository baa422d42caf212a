import type { OptionChecker } from './option-checker.js';

/** In characters (code points). */
export const MIN_SECRET_LENGTH = 32;

export function checkSecrets(check: OptionChecker, value: unknown): readonly string[] {
  const remedy = 'Make one with: npx nestjs-latchkey secret';
  if (!Array.isArray(value) || value.length === 0) {
    check.that(false, `secrets must be a list with at least one secret. ${remedy}`);
    return [];
  }
  Array.from<unknown>(value).forEach((secret, index) => {
    check.that(
      secret !== undefined,
      `secrets[${index}] is undefined: the environment variable that you read it from is not set. ${remedy}`,
    );
    check.that(
      secret === undefined ||
        (typeof secret === 'string' && secret.trim() !== '' && [...secret].length >= MIN_SECRET_LENGTH),
      `secrets[${index}] must be a string of at least ${MIN_SECRET_LENGTH} characters. ${remedy}`,
    );
  });
  check.that(new Set(value).size === value.length, 'secrets has the same secret twice: remove one of the two.');
  return [...(value as string[])];
}

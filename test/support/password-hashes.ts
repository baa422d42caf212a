import { PasswordHasher } from 'nestjs-latchkey';
import type { TestApp } from './app.js';

/** What passwords and codes were compared with meanwhile: the stored hash, or `null` where there was none. */
export async function comparedDuring(
  { app }: Pick<TestApp, 'app'>,
  work: () => Promise<unknown>,
): Promise<(string | null)[]> {
  const hasher = app.get(PasswordHasher);
  const matches = hasher.matches.bind(hasher);
  const compared: (string | null)[] = [];
  hasher.matches = (stored, ...rest) => {
    compared.push(stored);
    return matches(stored, ...rest);
  };
  try {
    await work();
  } finally {
    hasher.matches = matches;
  }
  return compared;
}

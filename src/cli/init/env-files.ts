import { newSecret } from '../new-secret.js';
import type { FileChange } from './file-change.js';
import { byHand, DATABASE_URL } from './module-text.js';
import type { Project } from './project.js';

/** The secret and, for a connection of ours, the address of the database. */
export function addVariables(project: Project, needsDatabase: boolean, kept: string[]): FileChange[] {
  const before = project.read('.env');
  const has = (name: string) => new RegExp(`^[ \\t]*(export[ \\t]+)?${name}[ \\t]*=`, 'm').test(before ?? '');
  const lines: string[] = [];
  if (has('AUTH_SECRET')) kept.push('.env has AUTH_SECRET already.');
  else if (project.isTracked('.env')) {
    const reason = 'Git tracks .env, and would keep the secret: run `git rm --cached .env`, and then this again';
    throw byHand(reason, 'your application module');
  } else lines.push(`AUTH_SECRET=${newSecret()}`);
  if (needsDatabase && !has('DATABASE_URL')) lines.push(`DATABASE_URL=${DATABASE_URL}`);
  if (lines.length === 0) return [];
  const eol = before?.includes('\r\n') ? '\r\n' : '\n';
  const start = before === undefined || before === '' || before.endsWith('\n') ? (before ?? '') : before + eol;
  return [{ path: '.env', before, after: start + lines.map((line) => line + eol).join('') }];
}

/** Keeps `.env` out of git. */
export function ignoreVariables(project: Project, kept: string[]): FileChange[] {
  const before = project.read('.gitignore');
  const rules = (before ?? '').split(/\r?\n/).map((line) => line.trim());
  // The last rule that matches decides; of those after it, any with a pattern may be one, such as `!*.*`.
  const last = rules.findLastIndex((rule) => /^!?(\*\*\/|\/)?(\.env|\.env\*|\*\.env|\.\*|\*)$/.test(rule));
  const mayReturn = rules.slice(last + 1).some((rule) => /^!.*([*?[\\]|\.env$)/.test(rule));
  if (last >= 0 && !rules[last]!.startsWith('!') && !mayReturn) {
    kept.push('.gitignore has .env already.');
    return [];
  }
  const eol = before?.includes('\r\n') ? '\r\n' : '\n';
  const start = before === undefined || before === '' || before.endsWith('\n') ? (before ?? '') : before + eol;
  return [{ path: '.gitignore', before, after: `${start}.env${eol}` }];
}

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writeChanges } from './write.js';

let folder = '';
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'latchkey-write-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const file = (path: string) => join(folder, path);
const read = (path: string) => readFileSync(file(path), 'utf8');

describe('init, writing', () => {
  it('keeps the mode of a file and the link to it; a new .env is its owner’s alone', () => {
    writeFileSync(file('real.ts'), 'a');
    chmodSync(file('real.ts'), 0o640);
    symlinkSync('real.ts', file('a.ts'));
    writeChanges(folder, [
      { path: 'a.ts', before: 'a', after: 'b' },
      { path: '.env', before: undefined, after: 'X=1' },
    ]);
    expect([read('real.ts'), read('.env')]).toEqual(['b', 'X=1']);
    expect(statSync(file('real.ts')).mode & 0o777).toBe(0o640);
    expect(statSync(file('.env')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).toSorted()).toEqual(['.env', 'a.ts', 'real.ts']);
  });

  it('a file has appeared meanwhile: it stays, and what was written before it is put back', () => {
    writeFileSync(file('a.ts'), 'a');
    writeFileSync(file('c.ts'), 'theirs');
    const changes = [
      { path: 'a.ts', before: 'a', after: 'b' },
      { path: 'b.ts', before: undefined, after: 'b' },
      { path: 'c.ts', before: undefined, after: 'ours' },
    ];
    expect(() => writeChanges(folder, changes)).toThrow('Cannot write c.ts (EEXIST): nothing was changed.');
    expect([read('a.ts'), read('c.ts')]).toEqual(['a', 'theirs']);
    expect(readdirSync(folder).toSorted()).toEqual(['a.ts', 'c.ts']);
  });

  it('one that cannot be put back is named, and does not keep the others from it', () => {
    for (const path of ['a.ts', 'b.ts', 'c.ts']) writeFileSync(file(path), 'a');
    const changes = [
      { path: 'a.ts', before: 'a', after: 'b' },
      { path: 'b.ts', before: 'a', after: 'b' },
      {
        // As soon as its turn has come, the place where the old text of b.ts would be written is taken.
        get path() {
          if (read('b.ts') === 'b') mkdirSync(`${file('b.ts')}.${process.pid}.tmp`, { recursive: true });
          return 'c.ts';
        },
        before: undefined,
        after: 'b',
      },
    ];
    expect(() => writeChanges(folder, changes)).toThrow('Cannot write c.ts (EEXIST): put these back yourself: b.ts');
    expect([read('a.ts'), read('b.ts')]).toEqual(['a', 'b']);
  });

  it('a disk that is full in the midst of a file (EFBIG by ulimit): every file is as it was', () => {
    writeFileSync(file('small.ts'), 'a');
    const large = 'a'.repeat(2 ** 21);
    writeFileSync(file('large.ts'), large);
    const script = `import { writeChanges } from ${JSON.stringify(pathToFileURL(resolve('src/cli/init/write.ts')).href)};
      const large = 2 ** 21;
      const changes = [
        { path: 'small.ts', before: 'a', after: 'b' },
        { path: 'new.ts', before: undefined, after: 'b' },
        { path: 'large.ts', before: 'a'.repeat(large), after: 'b'.repeat(large) },
      ];
      try { writeChanges(process.cwd(), changes); } catch ({ message }) { console.log(message); }`;
    writeFileSync(file('script.mjs'), script);
    const register = pathToFileURL(resolve('test/support/register.js')).href;
    const said = execFileSync(
      'bash',
      ['-c', 'ulimit -f 1024 && exec "$@"', 'bash', process.execPath, '--import', register, 'script.mjs'],
      { cwd: folder, encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
    );
    expect(said).toBe('Cannot write large.ts (EFBIG): nothing was changed.\n');
    expect(read('small.ts')).toBe('a');
    expect(read('large.ts') === large).toBe(true);
    expect(readdirSync(folder).toSorted()).toEqual(['large.ts', 'script.mjs', 'small.ts']);
  });
});

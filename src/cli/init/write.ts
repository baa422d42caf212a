import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CommandFailure } from '../failure.js';
import type { FileChange } from './file-change.js';

/**
 * Makes all of the changes or none. A file that has appeared meanwhile is not overwritten.
 *
 * @throws {CommandFailure} `NOT_WRITABLE`: what had been written is put back. Should that fail too, the message names
 *   the files.
 */
export function writeChanges(folder: string, changes: readonly FileChange[]): void {
  const undo: { readonly path: string; readonly step: () => void }[] = [];
  let path = '';
  try {
    // All texts are on the disk before the first file is replaced: a full disk destroys nothing.
    const written = changes.map((change) => {
      path = change.path;
      const file = join(folder, path);
      const target = change.before === undefined ? file : realpathSync(file);
      const temporary = `${target}.${process.pid}.tmp`;
      writeNew(temporary, change.after, modeOf(change, target), () =>
        undo.push({ path: `${change.path}.${process.pid}.tmp`, step: () => rmSync(temporary, { force: true }) }),
      );
      return { change, target, temporary };
    });
    for (const { change, target, temporary } of written) {
      path = change.path;
      const { before } = change;
      if (before === undefined && lstatSync(target, { throwIfNoEntry: false })) {
        throw Object.assign(new Error('The file has appeared meanwhile.'), { code: 'EEXIST' });
      }
      const mode = before === undefined ? 0 : statSync(target).mode;
      renameSync(temporary, target);
      undo.push({
        path,
        step: () => {
          if (before === undefined) return rmSync(target, { force: true });
          writeNew(temporary, before, mode);
          renameSync(temporary, target);
        },
      });
    }
  } catch (error) {
    const failed = undo.toReversed().filter(({ step }) => {
      try {
        step();
        return false;
      } catch {
        return true;
      }
    });
    const left = failed.map((one) => one.path).join(', ');
    const outcome = left === '' ? 'nothing was changed' : `put these back yourself: ${left}`;
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailure('NOT_WRITABLE', `Cannot write ${path} (${code}): ${outcome}.`, { cause: error });
  }
}

/** That of the file, or `undefined` for a new one's; only its owner may read the secret. */
function modeOf({ path, before }: FileChange, target: string): number | undefined {
  if (before === undefined) return path === '.env' ? 0o600 : undefined;
  // A file that may not be written could still be replaced.
  accessSync(target, constants.W_OK);
  return statSync(target).mode;
}

function writeNew(file: string, text: string, mode: number | undefined, created?: () => void): void {
  const descriptor = openSync(file, 'wx', mode === undefined ? 0o666 : 0o600);
  try {
    created?.();
    if (mode !== undefined) fchmodSync(descriptor, mode & 0o7777);
    writeFileSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

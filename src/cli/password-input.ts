import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import type { Input } from './command.js';
import { CommandFailure, UsageError } from './failure.js';

/** No password that the module accepts is longer. */
const MAX_BYTES = 8_192;

/**
 * Reads a password: from a pipe all there is, without the line's end; from a terminal what is typed, twice and unseen.
 */
export function passwordInput(
  stdin: NodeJS.ReadableStream & { isTTY?: boolean },
  prompts: NodeJS.WritableStream,
): Input {
  return {
    async password() {
      if (!stdin.isTTY) return piped(stdin);
      const first = await typed(stdin, prompts, 'Password: ');
      if (first === (await typed(stdin, prompts, 'Again: '))) return first;
      throw new CommandFailure('CANCELLED', 'The two passwords differ: nothing was changed.');
    },
  };
}

async function piped(stdin: NodeJS.ReadableStream): Promise<string> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of stdin) {
    bytes = Buffer.concat([bytes, Buffer.from(chunk)]);
    if (bytes.length > MAX_BYTES)
      throw new UsageError(`The password on standard input is longer than ${MAX_BYTES} bytes.`);
  }
  const password = bytes.toString('utf8').replace(/\r?\n$/, '');
  if (password === '') throw new UsageError('Type the password in a terminal, or give it on standard input.');
  return password;
}

function typed(stdin: NodeJS.ReadableStream, prompts: NodeJS.WritableStream, prompt: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const line = createInterface({ input: stdin, output: nowhere, terminal: true, historySize: 0 });
  prompts.write(prompt);
  return new Promise((resolve, reject) => {
    const finish = (end: () => void) => {
      line.removeAllListeners('close');
      line.close();
      prompts.write('\n');
      end();
    };
    line.question('', (answer) => finish(() => resolve(answer)));
    // Ctrl-C and Ctrl-D.
    line.once('close', () => finish(() => reject(new CommandFailure('CANCELLED', 'Cancelled: nothing was changed.'))));
  });
}

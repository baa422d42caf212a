import { randomBytes } from 'node:crypto';
import type { Command } from '../command.js';

/** 48 bytes: 64 characters of base64url, far beyond guessing. */
const BYTES = 48;

export const secret: Command = {
  name: 'secret',
  summary: 'Prints a new secret for `secrets`',
  options: {},
  notes: `
It is the only command that prints a secret. Rotate by putting the new one first in \`secrets\` and dropping the old one
when the longest-lived value signed with it has expired.`,
  async run() {
    const made = randomBytes(BYTES).toString('base64url');
    return { data: { secret: made }, text: made };
  },
};

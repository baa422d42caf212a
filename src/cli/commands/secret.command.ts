import type { Command } from '../command.js';
import { newSecret } from '../new-secret.js';

export const secret: Command = {
  name: 'secret',
  summary: 'Prints a new secret for `secrets`',
  options: {},
  notes: `
It is the only command that prints a secret. Rotate by putting the new one first in \`secrets\` and dropping the old one
when the longest-lived value signed with it has expired.`,
  async run() {
    const made = newSecret();
    return { data: { secret: made }, text: made };
  },
};

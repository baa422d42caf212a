import type { Command } from '../command.js';
import { version as versionOf } from '../version.js';

export const version: Command = {
  name: 'version',
  summary: 'Prints the version of this package; also --version and -v',
  options: {},
  async run() {
    const version = versionOf();
    return { data: { version, node: process.versions.node }, text: version };
  },
};

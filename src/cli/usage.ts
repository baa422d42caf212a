import { GENERAL, type Command, type Option } from './command.js';

const PROGRAM = 'nestjs-latchkey';
const ENV = 'Variables are read from .env too; those of the environment win.';
const EXITS = 'Exit codes: 0 done, 1 failed (doctor: found something), 2 called incorrectly.';

export function usage(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: ${PROGRAM} <command> [options]\n\n${lines.join('\n')}\n\n${PROGRAM} <command> --help says more. ${ENV}\n${EXITS}\n`;
}

export function usageOf({ name, summary, options, notes }: Command): string {
  const all = Object.entries({ ...options, ...GENERAL }).map(
    ([option, rules]) => [spelled(option, rules), rules] as const,
  );
  const width = Math.max(...all.map(([spelling]) => spelling.length));
  const lines = all.map(
    ([spelling, { help, env }]) => `  ${spelling.padEnd(width)}  ${help}${env ? ` (default: $${env})` : ''}`,
  );
  const rest = notes ? `\n${notes.trim()}\n` : '';
  return `Usage: ${PROGRAM} ${name} [options]\n\n${summary}.\n\n${lines.join('\n')}\n${rest}\n${EXITS}\n`;
}

const spelled = (option: string, { value }: Option): string => `--${option}${value ? ` ${value}` : ''}`;

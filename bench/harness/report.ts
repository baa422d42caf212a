import { mkdirSync, writeFileSync } from 'node:fs';
import { chartOf } from './chart.js';
import { number } from './number.js';
import type { Machine } from './machine.js';
import { isMet, type Cell, type Goal, type Result, type Row, type Table } from './scenario.js';

/** Writes `<name>.json`, `<name>.md` and, for a table that is to be shown, `<name>.svg`. */
export function writeReport(folder: URL, name: string, result: Result, machine: Machine): void {
  mkdirSync(folder, { recursive: true });
  const write = (extension: string, text: string) => writeFileSync(new URL(`${name}.${extension}`, folder), text);
  write('json', `${JSON.stringify({ ...result, machine, measuredOn: today() }, null, 2)}\n`);
  write('md', markdownOf(name, result, machine));
  const chart = chartOf(result);
  if (chart) write('svg', chart);
}

export function markdownOf(name: string, { title, about, tables, goals }: Result, machine: Machine): string {
  const parts = [
    `# ${title}`,
    `Written by \`npm run bench -- ${name}\` on ${today()}. ${describe(machine)}`,
    ...about,
    ...tables.flatMap((table) => [`## ${table.title}`, tableOf(table)]),
    ...(goals.length > 0 ? ['## Goals', goalsOf(goals)] : []),
    `Packages: ${Object.entries(machine.packages)
      .map(([pack, version]) => `${pack} ${version}`)
      .join(', ')}.`,
  ];
  return `${parts.join('\n\n')}\n`;
}

export function goalLine(goal: Goal): string {
  const { claim, remark } = goal;
  return `${isMet(goal) ? 'met   ' : 'MISSED'} ${claim}: ${number(goal.value)} (${bound(goal)})${remark ? `, ${remark}` : ''}`;
}

function goalsOf(goals: readonly Goal[]): string {
  const rows = goals.map((goal) => [
    goal.claim,
    bound(goal),
    `**${number(goal.value)}**`,
    goal.remark ?? '',
    isMet(goal) ? 'met' : '**missed**',
  ]);
  return grid(['claim', 'goal', 'measured', '', ''], rows);
}

function bound({ least, most }: Goal): string {
  return [least === undefined ? [] : `at least ${least}`, most === undefined ? [] : `at most ${most}`]
    .flat()
    .join(', ');
}

function tableOf({ columns, rows }: Table): string {
  return grid(
    ['', ...columns],
    rows.map((row) => [nameOf(row), ...columns.map((column) => textOf(row.cells[column] ?? null))]),
  );
}

function nameOf({ name, kind }: Row): string {
  return kind === 'ours' ? `**${name}**` : kind === 'limit' ? `_${name}_` : name;
}

function textOf(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number') return number(cell);
  const { median, least, most } = cell;
  return least === most ? number(median) : `${number(median)} <sub>${number(least)} to ${number(most)}</sub>`;
}

function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

function describe({ processor, cores, memoryGiB, pinned, node, postgres, redis }: Machine): string {
  const places = pinned
    ? 'Contenders on one core, load generator and database on the other.'
    : 'All processes share the cores.';
  const servers = `PostgreSQL ${postgres}${redis ? `, Redis ${redis}` : ''}`;
  return `${processor}, ${cores} cores, ${memoryGiB} GiB; Node ${node}, ${servers}, everything on this machine. ${places}`;
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

import { number } from './number.js';
import type { Cell, Result, Row } from './scenario.js';

const WIDTH = 860;
const LABEL = 330;
const BAR = 18;
const GAP = 6;
const HEADER = 34;
/** Readable on a light page and on a dark one. */
const COLOURS = { ours: '#2f81f7', peer: '#8b949e', limit: '#bf8700' };

/** Bars for each table that asks for them, one below the other; `null` when none does. */
export function chartOf({ title, tables }: Result): string | null {
  const shown = tables.filter(({ chart }) => chart !== undefined);
  if (shown.length === 0) return null;
  let y = 0;
  const parts = shown.map((table) => {
    const bars = table.rows.filter((row) => valueOf(row.cells[table.chart!]) !== null);
    const most = Math.max(...bars.map((row) => valueOf(row.cells[table.chart!])!));
    const top = y;
    y += HEADER + bars.length * (BAR + GAP);
    return [
      `<text x="0" y="${top + 20}" class="title">${escape(`${table.title}: ${table.chart}`)}</text>`,
      ...bars.map((row, i) => bar(row, valueOf(row.cells[table.chart!])!, most, top + HEADER + i * (BAR + GAP))),
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<title>${escape(title)}</title>
<style>text{font:13px system-ui,sans-serif;fill:#8b949e}.title{font-weight:600}.ours{font-weight:600;fill:${COLOURS.ours}}</style>
${parts.join('\n')}
</svg>
`;
}

function bar({ name, kind }: Row, value: number, most: number, y: number): string {
  const width = Math.max(1, (value / most) * (WIDTH - LABEL - 80));
  const middle = y + BAR - 5;
  return [
    `<text x="${LABEL - 8}" y="${middle}" text-anchor="end" class="${kind}">${escape(name)}</text>`,
    `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${COLOURS[kind]}"/>`,
    `<text x="${(LABEL + width + 6).toFixed(1)}" y="${middle}" class="${kind}">${number(value)}</text>`,
  ].join('\n');
}

function valueOf(cell: Cell | undefined): number | null {
  if (typeof cell === 'number') return cell;
  return cell && typeof cell === 'object' ? cell.median : null;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

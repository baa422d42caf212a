import type { Samples } from './samples.js';
import type { Cell, Row, Table } from './scenario.js';

/** A row of a table that compares rates. */
export interface Contender {
  readonly name: string;
  readonly kind: Row['kind'];
  /** What its module exports, for its own process. */
  readonly start: string;
  readonly args?: unknown;
}

/** One table of contenders that were measured inside of their processes, with a chart of their rates. */
export function comparisonTable(
  { title, reference }: { title: string; reference: string },
  contenders: readonly Contender[],
  samples: Samples,
  more: (name: string) => Readonly<Record<string, Cell>> = () => ({}),
): Table {
  const ratio = `vs. ${reference}`;
  const rows = contenders.map(({ name, kind }) => ({
    name,
    kind,
    cells: {
      'per second': samples.perSecond(name),
      'CPU µs each': samples.cpuMicros(name),
      [ratio]: samples.rateRatio(name, reference),
      ...more(name),
    },
  }));
  return { title, columns: Object.keys(rows[0]!.cells), rows, chart: 'per second' };
}

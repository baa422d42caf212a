import type { Answer, Command, Values } from '../command.js';
import { DATABASE_OPTIONS, withDatabase } from '../database.js';
import { isAal } from '../doctor/aal.js';
import { diagnose, type Diagnosis, type Subject } from '../doctor/diagnose.js';
import { expectedSchema } from '../doctor/expected-schema.js';
import { CODES } from '../doctor/finding.js';
import { UsageError } from '../failure.js';
import { CONFIG_NOTE, CONFIG_OPTION, hostConfiguration, type HostConfiguration } from '../host.js';
import type { Query } from '../doctor/query.js';
import { givenUserId, schemaOptions, USER_ID_OPTION } from '../user-id.js';

export const doctor: Command = {
  name: 'doctor',
  summary: 'Checks the configuration and the database, and changes nothing',
  options: {
    ...CONFIG_OPTION,
    ...DATABASE_OPTIONS,
    ...USER_ID_OPTION,
    aal: { type: 'string', value: '<1|2|3>', help: 'NIST 800-63B level that the lifetimes are checked against' },
  },
  notes: `${CONFIG_NOTE}

Without --config only the database is examined, without an address only the configuration. Exit code 1 when there is a
finding that is marked fail. The codes:

${Object.entries(CODES)
  .map(([code, [severity, what]]) => `  ${code}  ${severity}  ${what}`)
  .join('\n')}`,
  async run(values) {
    const aal = values.text('aal');
    if (aal !== undefined && !isAal(aal)) throw new UsageError('--aal must be 1, 2 or 3.');
    const host = await hostConfiguration(values);
    const hasDatabase = values.text('database-url') !== undefined;
    if (!host && !hasDatabase) throw new UsageError('Nothing to examine: give --config, --database-url, or both.');
    const now = () => Date.now();
    const diagnosis = hasDatabase
      ? await withSubject(values, host, (database) => diagnose({ host, database, aal, now }))
      : await diagnose({ host, aal, now });
    return answer(diagnosis, { configuration: host !== undefined, database: hasDatabase });
  },
};

async function withSubject<T>(
  values: Values,
  host: HostConfiguration | undefined,
  work: (database: NonNullable<Subject['database']>) => Promise<T>,
): Promise<T> {
  givenUserId(values);
  return withDatabase(values, async (dataSource) => {
    const query: Query = (sql, parameters) => dataSource.query(sql, parameters);
    return work({ query, expected: await expectedSchema(await schemaOptions(values, host, query)) });
  });
}

function answer({ findings, checklist }: Diagnosis, examined: Record<string, boolean>): Answer {
  const failed = findings.filter(({ severity }) => severity === 'fail').length;
  const width = Math.max(...checklist.map(({ topic }) => topic.length), 0);
  const rows = checklist.map(({ id, source, topic, value, status, reason }) =>
    [
      id.padEnd(3),
      source.padEnd(8),
      status.padEnd(9),
      topic.padEnd(width),
      reason ? `${value} (${reason})` : value,
    ].join('  '),
  );
  // What mends several in a row is said below the last of them.
  const lines = findings.flatMap(({ code, severity, message, remedy }, i) => [
    `${code}  ${severity}  ${message}`,
    ...(findings[i + 1]?.remedy === remedy ? [] : [`                ${remedy}`]),
  ]);
  const skipped = Object.entries(examined).flatMap(([what, done]) => (done ? [] : [`The ${what} was not examined.`]));
  const summary = `${failed} failed, ${findings.length - failed} warnings.`;
  return {
    data: { ok: failed === 0, examined, findings, checklist },
    text: [rows, lines, [...skipped, summary]]
      .filter((part) => part.length > 0)
      .map((part) => part.join('\n'))
      .join('\n\n'),
    exitCode: failed === 0 ? 0 : 1,
  };
}

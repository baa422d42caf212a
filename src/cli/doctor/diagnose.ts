import { isRecord } from '../../config/option-checker.js';
import type { HostConfiguration } from '../host.js';
import type { Aal } from './aal.js';
import { checklist, type ChecklistItem } from './checklist.js';
import { databaseFindings } from './database-findings.js';
import type { ExpectedSchema } from './expected-schema.js';
import { finding, type Finding } from './finding.js';
import { examined } from './host-config.js';
import { optionFindings } from './option-findings.js';
import type { Query } from './query.js';
import { secretFindings } from './secret-findings.js';

/** The things to examine; what is left out is not examined. */
export interface Subject {
  readonly host?: HostConfiguration;
  readonly database?: { readonly query: Query; readonly expected: ExpectedSchema };
  /** The authentication assurance level of NIST 800-63B to aim at. */
  readonly aal?: Aal;
  /** This machine's clock, epoch ms. */
  readonly now: () => number;
}

export interface Diagnosis {
  readonly findings: readonly Finding[];
  /** Empty if no configuration was given. */
  readonly checklist: readonly ChecklistItem[];
}

/** Only reads, and returns no secret. Throws what the database's client throws. */
export async function diagnose({ host, database, aal, now }: Subject): Promise<Diagnosis> {
  const findings: Finding[] = [];
  let items: ChecklistItem[] = [];
  if (host) {
    const { config, mistakes } = examined(host);
    findings.push(
      ...mistakes.map((mistake) => finding('AUTH_D01', mistake, 'AuthModule does not start until it is fixed.')),
    );
    const { secrets } = isRecord(host.options) ? host.options : {};
    findings.push(...secretFindings(Array.isArray(secrets) ? secrets.filter((one) => typeof one === 'string') : []));
    findings.push(...optionFindings(config, host, aal));
    items = checklist(config, host, aal);
  }
  if (database) findings.push(...(await databaseFindings(database.query, database.expected, now)));
  return { findings: findings.toSorted((a, b) => a.code.localeCompare(b.code)), checklist: items };
}

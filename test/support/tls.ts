import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';
import { SETTINGS } from './test-server.js';

/** A PostgreSQL that offers TLS with a certificate for 127.0.0.1 of an authority of its own. */
export interface TlsPostgres {
  readonly server: EmbeddedPostgres;
  /** File of the authority's certificate. */
  readonly authority: string;
  /** File of the certificate of an authority that has signed nothing. */
  readonly otherAuthority: string;
  remove(): Promise<void>;
}

export async function startTlsPostgres(): Promise<TlsPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-tls-'));
  chmodSync(folder, 0o755);
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  for (const name of ['authority', 'other']) {
    openssl('req', '-x509', ...newKey, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`);
  }
  const signed = ['-CA', 'authority.crt', '-CAkey', 'authority.key', '-addext', 'subjectAltName=IP:127.0.0.1'];
  openssl('req', '-x509', ...newKey, ...signed, '-subj', '/CN=server', '-keyout', 'server.key', '-out', 'server.crt');
  const made = await startEmbeddedPostgres({ dataDirectory: join(folder, 'data'), settings: SETTINGS });
  await made.stop();
  const { uid, gid } = statSync(made.dataDirectory);
  chmodSync(file('server.key'), 0o600);
  chownSync(file('server.key'), uid, gid);
  const tls = { ssl: 'on', ssl_cert_file: file('server.crt'), ssl_key_file: file('server.key') };
  const settings = { ...SETTINGS, ...tls };
  const server = await startEmbeddedPostgres({ dataDirectory: made.dataDirectory, settings });
  return {
    server,
    authority: file('authority.crt'),
    otherAuthority: file('other.crt'),
    remove: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// Starts `npm start`, runs the README's curl lines in order, compares what they print with what the README says, and
// looks that nothing is left when it stops.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '../test/support/register.js';

const { transcript } = await import('../test/support/readme.ts');
const steps = transcript(readFileSync('README.md', 'utf8'));
const port = 3000 + Math.floor(Math.random() * 20_000);
const folder = mkdtempSync(join(tmpdir(), 'readme-'));
const problems = [];

const demo = spawn('npm', ['start'], {
  env: { ...process.env, PORT: String(port) },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let said = '';
await new Promise((ready, fail) => {
  demo.stdout.on('data', (chunk) => {
    said += chunk;
    if (said.includes('Ctrl-C stops it.')) ready();
  });
  demo.once('exit', () => fail(new Error(`npm start ended: ${said}`)));
  setTimeout(() => fail(new Error(`npm start was not ready in a minute: ${said}`)), 60_000).unref();
});
for (const promised of [`http://localhost:${port}`, 'ada@example.com / correct horse battery staple']) {
  if (!said.includes(promised)) problems.push(`npm start does not print ${promised}`);
}

const matcher = (line) =>
  new RegExp(
    `^${line
      .split('…')
      .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      .join('.*')}$`,
  );
for (const { command, output } of steps) {
  if (!said.includes(command.replaceAll('localhost:3000', `localhost:${port}`)))
    problems.push(`npm start does not print: ${command}`);
  const { stdout } = spawnSync('bash', ['-c', command.replaceAll('localhost:3000', `localhost:${port}`)], {
    cwd: folder,
    encoding: 'utf8',
  });
  const lines = stdout.split(/\r?\n/);
  let from = 0;
  for (const expected of output.split('\n')) {
    const at = lines.findIndex((line, index) => index >= from && matcher(expected).test(line));
    if (at === -1) {
      problems.push(`$ ${command}\n  the README says: ${expected}\n  it printed:\n${stdout}`);
      break;
    }
    from = at + 1;
  }
}

const moved = '.data/postgres/MOVED';
const data = existsSync(moved) ? readFileSync(moved, 'utf8').trim() : '.data/postgres';
const server = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
demo.kill('SIGTERM');
await new Promise((ended) => demo.once('exit', ended));
for (let i = 0; i < 50 && isAlive(server); i++) await new Promise((resume) => setTimeout(resume, 100));
if (isAlive(server)) problems.push(`PostgreSQL (pid ${server}) is still running after SIGTERM`);
rmSync(folder, { recursive: true });

if (steps.length < 5) problems.push(`Only ${steps.length} curl lines were found in the README.`);
console.log(problems.length ? problems.join('\n') : `${steps.length} steps as the README says`);
process.exit(problems.length ? 1 : 0);

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

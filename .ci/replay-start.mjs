// Runs docs/start.md as it is written, in the current folder, and compares what its curl lines print with what it says.
// Arguments: the page, the packed package, and the major version of Nest. What differs from the page: the package is
// the packed one, Nest has that major version, and the ports are free ones, since two of these run beside each other.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

const [page, archive, major] = process.argv.slice(2);
const text = readFileSync(page, 'utf8');
const password = 'correct horse battery staple';
const [port, databasePort] = [await freePort(), await freePort()];
const env = {
  ...process.env,
  PORT: String(port),
  npm_config_yes: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
};
const running = [];
let folder = process.cwd();
let commands = 0;

const here = (line) =>
  line
    .replace(/^npm install nestjs-latchkey /, `npm install ${archive} `)
    .replaceAll(/@nestjs\/(cli|typeorm)\b/g, `@nestjs/$1@${major}`)
    .replaceAll('localhost:3000', `localhost:${port}`)
    .replaceAll('port: 5433', `port: ${databasePort}`);

try {
  for (const [, comment, language, block] of text.matchAll(
    /(?:^<!-- ([^\n]+) -->\n\n)?^```(sh|js|console)\n(.*?)^```/gms,
  )) {
    if (language === 'js') writeFileSync(join(folder, comment), here(block));
    else if (language === 'console') block.split(/^\$ /m).slice(1).forEach(compare);
    else if (comment?.startsWith('runs on after: ')) await start(block.trim(), comment.slice('runs on after: '.length));
    else block.trim().split('\n').forEach(run);
  }
  if (commands < 12) throw new Error(`Only ${commands} commands were found in ${page}.`);
  await more();
  console.log(`${commands} commands as ${page} says`);
} finally {
  for (const child of running.toReversed()) await end(child);
}

function run(line) {
  commands++;
  console.log(`$ ${here(line)}`);
  if (line.startsWith('cd ')) {
    folder = join(folder, line.slice('cd '.length));
    return '';
  }
  const { status, stdout } = spawnSync('bash', ['-c', here(line)], {
    cwd: folder,
    env,
    input: `${password}\n`,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  console.log(stdout);
  if (status !== 0) throw new Error(`${line}: exit code ${status}`);
  return stdout;
}

/** The lines that the page shows are printed, in this order; `…` stands for anything. */
function compare(step) {
  const [command, ...expected] = step.trim().split('\n');
  const printed = run(command).split(/\r?\n/);
  let from = 0;
  for (const line of expected) {
    const pattern = line.split('…').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    const at = printed.findIndex((found, index) => index >= from && new RegExp(`^${pattern.join('.*')}$`).test(found));
    if (at < 0) throw new Error(`$ ${command}\n  the page says: ${line}\n  it printed: ${printed.join('\n')}`);
    from = at + 1;
  }
}

function start(line, ready) {
  commands++;
  console.log(`$ ${here(line)} &`);
  // A group of its own, so that what npm and the Nest CLI start ends with it.
  const child = spawn('bash', ['-c', here(line)], {
    cwd: folder,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.includes(ready)) resolve();
    });
    child.once('exit', () => reject(new Error(`${line} has ended: ${said}`)));
  });
}

function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  process.kill(-child.pid, 'SIGINT');
  return ended;
}

/** What the page leaves to other pages: doctor, and init once more. */
async function more() {
  run('npm install --save-dev tsx');
  writeFileSync(
    join(folder, 'src/auth.options.ts'),
    "export const authOptions = { secrets: [process.env['AUTH_SECRET']!] };\n",
  );
  run('npx nestjs-latchkey doctor --config src/auth.options.ts');
  run('npx nestjs-latchkey init');
  run('npm run build');
}

function freePort() {
  return new Promise((found, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => found(port));
    });
  });
}

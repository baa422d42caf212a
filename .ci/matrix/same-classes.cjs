// `require` and `import` in one process: every class, token and decorator once.
const assert = require('node:assert/strict');
require('reflect-metadata');

const entries = ['', '/engine', '/openapi', '/redis', '/testing'];
void Promise.all(entries.map((entry) => import(`nestjs-latchkey${entry}`))).then((imported) => {
  entries.forEach((entry, i) => {
    const required = require(`nestjs-latchkey${entry}`);
    for (const [name, value] of Object.entries(imported[i])) assert.equal(required[name], value, `${entry} ${name}`);
  });
  const { AuthError } = require('nestjs-latchkey');
  const { AuthConfig } = imported[1];
  assert.throws(() => AuthConfig.from({}), AuthError);
  const classes = imported.flatMap((module) => Object.values(module)).filter((value) => typeof value === 'function');
  console.log(`${process.version}: ${classes.length} classes and functions are the same`);
});

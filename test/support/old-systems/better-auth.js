// better-auth as an application has it: signs the users up, and prints what their browsers keep.
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { admin } from 'better-auth/plugins';
import { Pool } from 'pg';

const { databaseUrl, schema, secret, users, password } = JSON.parse(process.env.OLD_SYSTEM);
const pool = new Pool({ connectionString: databaseUrl, options: `-c search_path=${schema}` });
const auth = betterAuth({
  database: pool,
  baseURL: 'https://app.example.com',
  secret,
  emailAndPassword: { enabled: true },
  plugins: [admin()],
  telemetry: { enabled: false },
  logger: { disabled: true },
});
await (await getMigrations(auth.options)).runMigrations();
const made = [];
for (const email of users) {
  const { response, headers } = await auth.api.signUpEmail({
    body: { email, name: email, password },
    returnHeaders: true,
  });
  const cookie = headers
    .getSetCookie()
    .map((one) => one.split(';')[0])
    .join('; ');
  if ((await auth.api.getSession({ headers: new Headers({ cookie }) }))?.user.email !== email)
    throw new Error('refused');
  made.push({ id: response.user.id, email, cookie });
}
await pool.end();
console.log(JSON.stringify(made));

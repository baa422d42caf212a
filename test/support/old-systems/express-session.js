// express-session, connect-pg-simple and passport as an application has them: logs the users in, and prints what their
// browsers keep.
import connectPgSimple from 'connect-pg-simple';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import { Pool } from 'pg';

const { databaseUrl, secret, users } = JSON.parse(process.env.OLD_SYSTEM);
const pool = new Pool({ connectionString: databaseUrl });
const store = new (connectPgSimple(session))({ pool, createTableIfMissing: true, pruneSessionInterval: false });
passport.serializeUser((user, done) => done(null, user.id));
passport.deserializeUser((id, done) => done(null, { id }));
const app = express();
app.use(session({ store, secret, resave: false, saveUninitialized: true, cookie: { maxAge: 86_400_000 } }));
app.use(passport.session());
app.get('/visit', (request, response) => response.json({ user: request.user?.id ?? null }));
app.get('/login/:id', (request, response, next) =>
  request.login({ id: request.params.id }, (error) => (error ? next(error) : response.json({}))),
);
const server = app.listen(0);
const url = `http://127.0.0.1:${server.address().port}`;
const cookieFrom = (response) => response.headers.getSetCookie()[0].split(';')[0];
const made = [{ id: null, cookie: cookieFrom(await fetch(`${url}/visit`)) }];
for (const id of users) {
  const cookie = cookieFrom(await fetch(`${url}/login/${id}`));
  const { user } = await (await fetch(`${url}/visit`, { headers: { cookie } })).json();
  if (user !== id) throw new Error('refused');
  made.push({ id, cookie });
}
server.closeAllConnections();
server.close();
await pool.end();
console.log(JSON.stringify(made));

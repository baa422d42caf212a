// jsonwebtoken, as @nestjs/jwt calls it, and passport-jwt: prints tokens that its strategy accepts.
import jwt from 'jsonwebtoken';
import { ExtractJwt, Strategy } from 'passport-jwt';

const { secret, issuer, users } = JSON.parse(process.env.OLD_SYSTEM);
const jwtFromRequest = ExtractJwt.fromAuthHeaderAsBearerToken();
const accepts = (token) =>
  new Promise((resolve) => {
    const strategy = new Strategy({ jwtFromRequest, secretOrKey: secret, issuer }, (payload, done) =>
      done(null, payload),
    );
    Object.assign(strategy, { success: () => resolve(true), fail: () => resolve(false), error: () => resolve(false) });
    strategy.authenticate({ headers: { authorization: `Bearer ${token}` } });
  });
const made = [];
for (const id of users) {
  const token = jwt.sign({ sub: id }, secret, { expiresIn: '1h', issuer });
  if (!(await accepts(token))) throw new Error('refused');
  made.push({ id, token });
}
console.log(JSON.stringify(made));

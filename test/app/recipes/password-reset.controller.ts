import { BadRequestException, Body, Controller, Header, HttpCode, Post } from '@nestjs/common';
import {
  AuthTransaction,
  EphemeralTokenService,
  normalizeLogin,
  Public,
  RateLimit,
  RateLimitService,
  PostgresUserDirectory,
} from 'nestjs-latchkey';
import { Background } from './background.js';
import { Mailer } from './mailer.js';

/** Links are built from configuration, never from the request's Host. */
const BASE_URL = process.env['BASE_URL'] ?? 'http://localhost:3000';
const ANSWER = { message: 'If there is such an account, a mail with a link is on its way.' };

/** Forgotten passwords: a mailed link that works once and for an hour. */
@Public()
@Controller('password')
export class PasswordResetController {
  constructor(
    private readonly users: PostgresUserDirectory,
    private readonly tokens: EphemeralTokenService,
    private readonly limits: RateLimitService,
    private readonly transaction: AuthTransaction,
    private readonly mailer: Mailer,
    private readonly background: Background,
  ) {}

  /** The same answer for every address, at the same speed: the mail is sent after it. */
  @RateLimit({ event: 'password_reset_ip', by: 'ip' })
  @Post('forgot')
  @HttpCode(202)
  @Header('Cache-Control', 'no-store')
  forgot(@Body('email') email: unknown) {
    if (typeof email !== 'string' || email.length > 320) throw new BadRequestException('email must be a string.');
    this.background.run(() => this.sendLink(normalizeLogin(email)));
    return ANSWER;
  }

  /**
   * The token is spent and the password set in one transaction. Every session and token of the account ends with
   * it, and every other link.
   */
  @RateLimit({ event: 'password_reset_ip', by: 'ip' })
  @Post('reset')
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async reset(@Body('token') token: unknown, @Body('password') password: unknown) {
    const invalid = new BadRequestException('The link is invalid or has expired.');
    if (typeof token !== 'string' || typeof password !== 'string') throw invalid;
    if (!(await this.tokens.peek('password_reset', token))) throw invalid;
    const hash = await this.users.hashOf(password); // before the transaction, which holds a connection
    const done = await this.transaction.run(async () => {
      const reset = await this.tokens.consume('password_reset', token);
      const user = reset && (await this.users.findByLogin(reset.username));
      return user ? this.users.setPasswordHash(user.id, hash) : false;
    });
    if (!done) throw invalid;
    return { message: 'The password has been changed. Log in with it.' };
  }

  private async sendLink(email: string): Promise<void> {
    const user = await this.users.findByLogin(email);
    if (!user || (user.disabledAt ?? null) !== null) return;
    const sent = await this.limits.consume('password_reset_send', email);
    if (!sent.allowed) return;
    const token = await this.tokens.issue('password_reset', { username: email });
    // In the fragment: it reaches no server log and no Referer.
    const text = `Choose a new password: ${BASE_URL}/reset-password#token=${token}`;
    try {
      await this.mailer.send({ to: user.email, subject: 'Your new password', text });
    } catch (error) {
      await this.tokens.consume('password_reset', token); // so that a link that nobody has cannot be used
      await this.limits.refund(sent);
      throw error;
    }
  }
}

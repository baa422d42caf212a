import { BadRequestException, Body, Controller, Header, HttpCode, Post } from '@nestjs/common';
import {
  AuthTransaction,
  EphemeralTokenService,
  hours,
  Public,
  RateLimit,
  RateLimitService,
  PostgresUserDirectory,
  type MailDraft,
} from 'nestjs-latchkey';
import { normalizeLogin, Outbox } from 'nestjs-latchkey/engine';

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
    private readonly outbox: Outbox,
  ) {}

  /** The same answer for every address, at the same speed: the account is looked up and the mail sent after it. */
  @RateLimit({ event: 'password_reset_ip', by: 'ip' })
  @Post('forgot')
  @HttpCode(202)
  @Header('Cache-Control', 'no-store')
  forgot(@Body('email') email: unknown) {
    if (typeof email !== 'string' || email.length > 320) throw new BadRequestException('email must be a string.');
    this.outbox.post(() => this.resetMail(normalizeLogin(email)));
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

  private async resetMail(email: string): Promise<MailDraft | null> {
    const user = await this.users.findByLogin(email);
    if (!user || (user.disabledAt ?? null) !== null) return null;
    const sent = await this.limits.consume('password_reset_send', email);
    if (!sent.allowed) return null;
    const token = await this.tokens.issue('password_reset', { username: email }, { ttl: hours(1) });
    return {
      kind: 'password_reset',
      to: user.email, // the account's, in whatever spelling it was typed
      userId: user.id,
      facts: { token, validFor: hours(1) },
      // A mail that was not sent costs nothing, and its link is void.
      onUnsent: async () => {
        await this.tokens.revoke('password_reset', token);
        await this.limits.refund(sent);
      },
    };
  }
}

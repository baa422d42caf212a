import { Injectable } from '@nestjs/common';
import type { EphemeralTokenFields } from '../config/ephemeral-token-settings.js';
import type { RateLimitEvent } from '../config/rate-limit-settings.js';
import { sha256Hex } from '../crypto/hash.js';
import { KeyRing } from '../crypto/key-ring.js';
import { SealedText } from '../crypto/sealed-text.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { rateLimited, RateLimitService, type RateLimitDecision } from '../rate-limit/rate-limit.service.js';
import { isLinkCode } from './link-code.js';

/** The tokens of mailed links that have a code beside them, for the browser that asked. */
export type LinkTokenType = 'register' | 'magic_link';

/** What proves the mailbox. */
export interface LinkProof {
  /** The token of the mailed link. */
  readonly token?: string | undefined;
  /** The mailed code in any spelling, in place of the token: only in the browser that asked. */
  readonly code?: string | undefined;
}

/** A link that can be used. */
export interface FoundLink<Type extends LinkTokenType> {
  readonly token: string;
  readonly fields: EphemeralTokenFields[Type];
  /** Whether the browser is the one that asked for it. */
  readonly isOwnBrowser: boolean;
}

const PURPOSE = 'nestjs-latchkey:link-browser';
const WRONG: Readonly<Record<LinkTokenType, RateLimitEvent>> = {
  register: 'register_confirm',
  magic_link: 'magic_link_confirm',
};

/**
 * Mailed links with a code beside them, and the browsers that asked for them. A browser is known by a cookie with the
 * token of its link, sealed, so that it is a token nowhere; the code is found by that, and counts in no other browser.
 */
@Injectable()
export class MailedLinks {
  private readonly sealed: SealedText;

  constructor(
    private readonly tokens: EphemeralTokenService,
    private readonly limits: RateLimitService,
    keys: KeyRing,
  ) {
    this.sealed = new SealedText(keys.forPurpose(PURPOSE));
  }

  /** What ties the link of this token to the browser that asked, where only it can read this: in an HttpOnly cookie. */
  browserOf(type: LinkTokenType, token: string): string {
    return this.sealed.seal(token, type);
  }

  /** The tokens of the requests that came from this browser. */
  tokensOf(type: LinkTokenType, browsers: readonly string[]): string[] {
    return [...new Set(browsers.flatMap((browser) => this.sealed.open(browser, type) ?? []))];
  }

  /**
   * The link that this proves, which stays usable; `null` for a token or code that is wrong, spent, expired or replaced,
   * and for a code in another browser. Wrong codes are counted, also where there is nothing to find, so that the limit
   * does not tell a link that was mailed from one that was not.
   *
   * @throws {AuthError} `RATE_LIMITED` after too many wrong codes for one of the browser's links.
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage did not answer; nothing is counted.
   */
  async find<Type extends LinkTokenType>(
    type: Type,
    { token, code }: LinkProof,
    browsers: readonly string[],
  ): Promise<FoundLink<Type> | null> {
    const own = this.tokensOf(type, browsers);
    if (token === undefined) return code === undefined || own.length === 0 ? null : this.byCode(type, code, own);
    const fields = await this.tokens.peek<LinkTokenType>(type, token);
    return fields && { token, fields: fields as EphemeralTokenFields[Type], isOwnBrowser: own.includes(token) };
  }

  /** Counts a guess at this link, which `work` judges; what a fault kept from being judged, or is right, does not count. */
  async judge<T>(type: LinkTokenType, tokens: readonly string[], work: () => Promise<T | false>): Promise<T | false> {
    const { allowed, decisive, decisions } = await this.limits.consumeAll(
      tokens.map((token) => ({ event: WRONG[type], subject: sha256Hex(token) })),
    );
    if (!allowed) throw rateLimited(decisive);
    try {
      const judged = await work();
      if (judged !== false) await this.refund(decisions);
      return judged;
    } catch (error) {
      await this.refund(decisions);
      throw error;
    }
  }

  private async byCode<Type extends LinkTokenType>(
    type: Type,
    code: string,
    own: readonly string[],
  ): Promise<FoundLink<Type> | null> {
    const found = await this.judge(type, own, async () => {
      const looked = await Promise.all(own.map((token) => this.tokens.peek<LinkTokenType>(type, token)));
      for (const [i, token] of own.entries()) {
        const fields = looked[i];
        if (fields?.codeHash === undefined || !isLinkCode(code, token, fields.codeHash)) continue;
        return { token, fields: fields as EphemeralTokenFields[Type], isOwnBrowser: true };
      }
      return false;
    });
    return found === false ? null : found;
  }

  /** Best effort: if it fails, one attempt too many is counted. */
  private async refund(decisions: readonly RateLimitDecision[]): Promise<void> {
    for (const decision of decisions) await this.limits.refund(decision).catch(() => false);
  }
}

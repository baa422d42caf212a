import { markup, type Html } from './html.js';
import type { PageTexts } from './page-texts.js';
import { withValues } from './with-values.js';

const NAMES = {
  totp: 'methodTotp',
  'backup-code': 'methodBackupCode',
  'email-code': 'methodEmailCode',
  passkey: 'methodPasskey',
  password: 'methodPassword',
} as const satisfies Record<string, keyof PageTexts>;

/** What a person calls this way to prove who they are. */
export function methodName(method: string, texts: Readonly<PageTexts>): string {
  return Object.hasOwn(NAMES, method)
    ? texts[NAMES[method as keyof typeof NAMES]]
    : withValues(texts.methodOther, { method });
}

const PROOFS = {
  password: 'password',
  totp: 'authenticator',
  'backup-code': 'backupCodes',
  'email-code': 'methodEmailCode',
  passkey: 'methodPasskey',
} as const satisfies Record<string, keyof PageTexts>;

/** What a person calls what a session was proved with; one of the application's own as it is. */
export function proofName(method: string, texts: Readonly<PageTexts>): string {
  return Object.hasOwn(PROOFS, method) ? texts[PROOFS[method as keyof typeof PROOFS]] : method;
}

/** What the script does where a method is a passkey, and what it leads to. */
export function passkeyForm(
  ceremony: 'second' | 'step',
  { next, token, texts }: { next: string; token?: string; texts: Readonly<PageTexts> },
): Html {
  return markup`<form
      method="post"
      data-passkey="${ceremony}"
      data-next="${next}"
      ${token !== undefined && markup` data-token="${token}"`}
      data-failed="${texts.passkeyFailed}"
      data-needs-passkeys
      hidden
    >
      <button type="submit" class="lk-wide-button">${texts.usePasskey}</button>
    </form>
    <p class="lk-quiet" data-without-passkeys>${texts.passkeyNoScript}</p>`;
}

import type { AuthConfig } from '../config/auth-config.js';
import { hidden, rememberBox } from './form.js';
import { markup, type Html } from './html.js';
import { withNext } from './page-names.js';
import type { PageTexts } from './page-texts.js';
import { withValues } from './with-values.js';

/** What a way to sign in is shown from. */
interface Occasion {
  readonly config: Pick<AuthConfig, 'flows' | 'session'>;
  readonly texts: Readonly<PageTexts>;
  /** Where it leads on. */
  readonly next: string;
}

type Way = (occasion: Occasion) => Html | null;

const byPasskey: Way = ({ config: { flows }, texts, next }) =>
  flows.passkeys?.routes
    ? markup`<form
        method="post"
        action="sign-in"
        data-passkey="login"
        data-next="${next}"
        data-failed="${texts.passkeyFailed}"
        data-needs-passkeys
        hidden
      >
        <button type="submit" class="lk-wide-button">${texts.signInByPasskey}</button>
      </form>`
    : null;

/** A form of their own, so that an address and a password that were typed are not sent along. */
const byProvider: Way = ({ config, texts, next }) => {
  const { oidc } = config.flows;
  if (!oidc?.routes) return null;
  return markup`<form method="post" class="lk-ways">
    ${hidden('next', next)}
    ${oidc.providers.map(
      ({ id, label = id }) =>
        markup`<button type="submit" class="lk-wide-button" formaction="provider?id=${id}">
          ${withValues(texts.signInWith, { provider: label })}
        </button>`,
    )}
    ${rememberBox(config, texts, {}, 'lk-remember-provider')}
  </form>`;
};

const byMailedLink: Way = ({ config: { flows }, texts, next }) =>
  flows.magicLink?.routes ? markup`<p><a href="${withNext('ask-link', next)}">${texts.magicLink}</a></p>` : null;

/** Beside the password, in the order in which they stand on the page: a flow that brings one adds it here. */
const WAYS: readonly Way[] = [byPasskey, byProvider, byMailedLink];

export function otherWays(occasion: Occasion): Html | null {
  const ways = WAYS.map((way) => way(occasion)).filter((way) => way !== null);
  if (ways.length === 0) return null;
  return markup`<div class="lk-ways">${ways}</div>`;
}

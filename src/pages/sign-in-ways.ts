import type { CheckedFlows } from '../config/flow-settings.js';
import { markup, type Html } from './html.js';
import { withNext } from './page-names.js';
import type { PageTexts } from './page-texts.js';
import { withValues } from './with-values.js';

/** The id of the form that asks for the password. */
export const SIGN_IN_FORM = 'lk-sign-in';

/** What a way to sign in is shown from. */
interface Occasion {
  readonly flows: CheckedFlows;
  readonly texts: Readonly<PageTexts>;
  /** Where it leads on. */
  readonly next: string;
}

type Way = (occasion: Occasion) => Html | null;

const byPasskey: Way = ({ flows, texts, next }) =>
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

/** They send the form of the password to another page: what is ticked there is meant for them too. */
const byProvider: Way = ({ flows, texts }) => {
  const { oidc } = flows;
  if (!oidc?.routes) return null;
  return markup`${oidc.providers.map(
    ({ id, label = id }) =>
      markup`<button type="submit" class="lk-wide-button" form="${SIGN_IN_FORM}" formaction="provider?id=${id}" formnovalidate>
        ${withValues(texts.signInWith, { provider: label })}
      </button>`,
  )}`;
};

const byMailedLink: Way = ({ flows, texts, next }) =>
  flows.magicLink?.routes ? markup`<p><a href="${withNext('ask-link', next)}">${texts.magicLink}</a></p>` : null;

/** Beside the password, in the order in which they stand on the page: a flow that brings one adds it here. */
const WAYS: readonly Way[] = [byPasskey, byProvider, byMailedLink];

export function otherWays(occasion: Occasion): Html | null {
  const ways = WAYS.map((way) => way(occasion)).filter((way) => way !== null);
  if (ways.length === 0) return null;
  return markup`<div class="lk-ways">${ways}</div>`;
}

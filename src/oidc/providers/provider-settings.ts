import type { OAuth2Provider, OidcProvider } from '../../config/oidc-settings.js';

/** What you choose at every provider; the rest is what the provider is. */
export type ProviderSettings = Pick<
  OidcProvider,
  | 'clientId'
  | 'clientSecret'
  | 'scope'
  | 'authorizationParameters'
  | 'signUp'
  | 'link'
  | 'authoritativeFor'
  | 'freshWithoutAuthTime'
> & {
  /** Its name in addresses and rows, for two of one kind. Default: that of the function. */
  readonly id?: string;
  /** What a page calls it. */
  readonly label?: string;
};

/** The same for providers of OpenID Connect. */
export type OpenIdSettings = ProviderSettings & Pick<OidcProvider, 'assurance' | 'algorithms' | 'stepUp'>;

/** What you have written in place of what is usual; what is `undefined` is not written. */
export function withSettings<Definition extends OidcProvider | OAuth2Provider>(
  usual: Omit<Definition, 'clientId'>,
  settings: ProviderSettings,
): Definition {
  const written = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { ...usual, ...Object.fromEntries(written) } as unknown as Definition;
}

import type { AuthConfig } from '../../config/auth-config.js';
import { hasStepUp, isOAuth2 } from '../../config/oidc-settings.js';
import type { Row } from './checklist-row.js';

/** What is required of logins at providers. */
export function providerRows({ flows, jwt }: AuthConfig): Row[] {
  const { providers } = flows.oidc ?? { providers: [] };
  if (providers.length === 0) return [];
  const names = (ids: readonly { readonly id: string }[]) => ids.map(({ id }) => id).join(', ');
  const unsigned = providers.filter(isOAuth2);
  const linking = providers.filter(({ link }) => link === 'verified-email');
  const asking = flows.stepUp ? providers.filter(hasStepUp) : [];
  const worthTwo = providers.filter((provider) => !isOAuth2(provider) && provider.assurance);
  return [
    ['F58', 'A10.1.2', 'Answers of providers are bound', 'to the browser, the provider, a nonce and PKCE (S256); once'],
    [
      'F59',
      'A6.8.2',
      'Signatures of ID tokens',
      unsigned.length === 0 ? 'verified' : `verified; none of ${names(unsigned)}`,
      unsigned.length === providers.length && 'plain OAuth 2 signs nothing: prefer a provider of OpenID Connect',
    ],
    ['F60', 'A10.5.3', 'Providers are told apart', 'a callback for each; iss where it is announced'],
    ['F61', 'A6.8.1', 'Identities', 'issuer and subject'],
    [
      'F62',
      'A10.5.2',
      'Accounts are entered by an address',
      linking.length === 0 ? 'never' : `by ${names(linking)}, of domains that they give out, verified by both sides`,
    ],
    [
      'F67',
      'A6.8.4',
      'A login at a provider is worth',
      worthTwo.length === 0 ? 'one factor' : `one factor, or two as assurance of ${names(worthTwo)} has it`,
    ],
    [
      'F67',
      'A7.5.3',
      'A step-up at a provider',
      asking.length === 0 ? 'none' : `at ${names(asking)}, by auth_time after it was asked for`,
    ],
    [
      'F25',
      'A7.6.1',
      'A back-channel logout of a provider ends',
      'what was begun or stepped up there, and logins that are under way',
      jwt.sessions && !jwt.registry && 'session JWTs live until they expire: set jwt.registry',
    ],
    ['F68', 'A15.3.2', 'Providers are asked', 'over https, without redirects, 5 s, 1 MB'],
  ];
}

import type { OidcProvider } from '../../config/oidc-settings.js';
import { withSettings, type OpenIdSettings } from './provider-settings.js';

/**
 * Google. Its callback is `<baseUrl>/<routes.path>/oidc/google/callback`. It hands out the mailboxes of `gmail.com`; with
 * `link: 'verified-email'` add the domains of your own Workspace to `authoritativeFor`. No step-up is offered there: of
 * `prompt` it knows only `none`, `consent` and `select_account`
 * (https://developers.google.com/identity/openid-connect/openid-connect#authenticationuriparameters).
 *
 * @example
 * ```ts
 * google({ clientId, clientSecret, signUp: true });
 * ```
 */
export function google(settings: OpenIdSettings): OidcProvider {
  return withSettings<OidcProvider>(
    {
      id: 'google',
      label: 'Google',
      issuer: 'https://accounts.google.com',
      authoritativeFor: ['gmail.com'],
      stepUp: false,
    },
    settings,
  );
}

/**
 * Microsoft Entra ID. `tenant` is the id of your organisation's; `organizations` admits those of every organisation,
 * `common` (the default) personal accounts too. A user's issuer is that of their tenant. Microsoft says of no address that
 * it is verified, and lets administrators write any: so no address of it opens or finds an account.
 *
 * @example
 * ```ts
 * microsoft({ tenant: '8eaef023-2b34-4da1-9baa-8bc8c9d6a490', clientId, clientSecret });
 * ```
 */
export function microsoft({ tenant = 'common', ...settings }: OpenIdSettings & { readonly tenant?: string }) {
  return withSettings<OidcProvider>(
    {
      id: 'microsoft',
      label: 'Microsoft',
      issuer: `https://login.microsoftonline.com/${tenant}/v2.0`,
    },
    settings,
  );
}

/**
 * Okta: its issuer is `https://<your domain>.okta.com`, or that of an authorization server of your own below it, such as
 * `https://<your domain>.okta.com/oauth2/default`.
 *
 * @example
 * ```ts
 * okta({ issuer: 'https://example.okta.com', clientId, clientSecret });
 * ```
 */
export function okta({ issuer, ...settings }: OpenIdSettings & { readonly issuer: string }): OidcProvider {
  return withSettings<OidcProvider>({ id: 'okta', label: 'Okta', issuer: withoutSlash(issuer) }, settings);
}

/**
 * Auth0: `domain` is that of your tenant, such as `example.eu.auth0.com`, or your own.
 *
 * @example
 * ```ts
 * auth0({ domain: 'example.eu.auth0.com', clientId, clientSecret });
 * ```
 */
export function auth0({ domain, ...settings }: OpenIdSettings & { readonly domain: string }): OidcProvider {
  // Its issuer ends with a slash.
  return withSettings<OidcProvider>({ id: 'auth0', label: 'Auth0', issuer: `https://${domain}/` }, settings);
}

/**
 * Keycloak from version 17: `url` is where it runs, with its path if it has one. A realm verifies addresses only with
 * "Verify email", and its administrators can say of any that it is verified.
 *
 * @example
 * ```ts
 * keycloak({ url: 'https://id.example.com', realm: 'staff', clientId, clientSecret });
 * ```
 */
export function keycloak({
  url,
  realm,
  ...settings
}: OpenIdSettings & { readonly url: string; readonly realm: string }): OidcProvider {
  const issuer = `${withoutSlash(url)}/realms/${encodeURIComponent(realm)}`;
  return withSettings<OidcProvider>({ id: 'keycloak', label: 'Keycloak', issuer }, settings);
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

/** Providers for `flows.oidc.providers`, with what each of them asks for. */
export { apple } from './apple.js';
export type { AppleSettings } from './apple.js';
export { discord, github } from './oauth2-providers.js';
export { auth0, google, keycloak, microsoft, okta } from './openid-providers.js';
export type { OpenIdSettings, ProviderSettings } from './provider-settings.js';

import { z } from 'zod';
import type { OAuth2Profile, OAuth2Provider } from '../../config/oidc-settings.js';
import { withSettings, type ProviderSettings } from './provider-settings.js';

const GitHubUser = z.object({ id: z.int().positive(), login: z.string(), name: z.string().nullish() });
const GitHubEmails = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }));
const DiscordUser = z.object({
  id: z.string().regex(/^\d{1,20}$/),
  username: z.string(),
  global_name: z.string().nullish(),
  email: z.string().nullish(),
  verified: z.boolean().nullish(),
});

/**
 * GitHub, by an OAuth app or a GitHub App, which then needs the permission to read e-mail addresses. A user is the number
 * of the account: a name can be given up and taken by somebody else. The address is the primary one, verified if GitHub
 * says so of it.
 *
 * @example
 * ```ts
 * github({ clientId, clientSecret, signUp: true });
 * ```
 */
export function github(settings: ProviderSettings): OAuth2Provider {
  return withSettings<OAuth2Provider>(
    {
      id: 'github',
      label: 'GitHub',
      // As it answers since 2026 (RFC 9207).
      issuer: 'https://github.com/login/oauth',
      authorizationEndpoint: 'https://github.com/login/oauth/authorize',
      tokenEndpoint: 'https://github.com/login/oauth/access_token',
      scope: 'read:user user:email',
      clientAuthentication: 'post',
      profile: gitHubProfile,
    },
    settings,
  );
}

async function gitHubProfile(get: (url: string) => Promise<unknown>): Promise<OAuth2Profile> {
  const user = GitHubUser.parse(await get('https://api.github.com/user'));
  // The address of the profile is whatever its owner has typed.
  const emails = GitHubEmails.parse(await get('https://api.github.com/user/emails'));
  const primary = emails.find((email) => email.primary);
  return {
    subject: String(user.id),
    email: primary?.email ?? null,
    emailVerified: primary?.verified === true,
    name: user.name ?? user.login,
  };
}

/**
 * Discord. A user is the number of the account. Its address is verified if Discord says so.
 *
 * @example
 * ```ts
 * discord({ clientId, clientSecret });
 * ```
 */
export function discord(settings: ProviderSettings): OAuth2Provider {
  return withSettings<OAuth2Provider>(
    {
      id: 'discord',
      label: 'Discord',
      issuer: 'https://discord.com',
      authorizationEndpoint: 'https://discord.com/oauth2/authorize',
      tokenEndpoint: 'https://discord.com/api/oauth2/token',
      scope: 'identify email',
      profile: discordProfile,
    },
    settings,
  );
}

async function discordProfile(get: (url: string) => Promise<unknown>): Promise<OAuth2Profile> {
  const user = DiscordUser.parse(await get('https://discord.com/api/v10/users/@me'));
  return {
    subject: user.id,
    email: user.email ?? null,
    emailVerified: user.verified === true,
    name: user.global_name ?? user.username,
  };
}

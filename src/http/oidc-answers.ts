import { z } from 'zod';
import type { LinkedIdentity } from '../oidc/identity.service.js';
import { iso, LoginAnswer } from './answers.js';

// As `answers.ts`, for logins at providers.

export const ProviderListAnswer = z.array(
  z.object({
    id: z.string().describe('The name of the provider in addresses.'),
    label: z.string().describe('What a page calls it.'),
  }),
);
export type ProviderListAnswer = z.infer<typeof ProviderListAnswer>;

export const ProviderAddressAnswer = z.object({
  url: z.string().describe('Where the browser goes: a page at the provider.'),
});
export type ProviderAddressAnswer = z.infer<typeof ProviderAddressAnswer>;

export const IdentityAnswer = z.object({
  id: z.string().describe('The public name of the identity: the one to unlink it by. It authenticates nobody.'),
  provider: z.string().describe('The name of the provider in addresses.'),
  label: z.string().describe('What a page calls the provider.'),
  email: z.string().nullable().describe('The address there, as it was at the last login; null if it is not known.'),
  linkedAt: z.iso.datetime().describe('When it was linked.'),
  lastUsedAt: z.iso.datetime().nullable().describe('When it last logged in; null if never.'),
});
export type IdentityAnswer = z.infer<typeof IdentityAnswer>;

export const IdentityListAnswer = z.array(IdentityAnswer);

export const KeptIdentityListAnswer = z.array(
  z.object({
    provider: z.string().describe('The name of the provider in addresses.'),
    label: z.string().describe('What a page calls the provider.'),
    email: z.string().describe('The address there, which is that of the account.'),
  }),
);
export type KeptIdentityListAnswer = z.infer<typeof KeptIdentityListAnswer>;

export function identityAnswer(identity: LinkedIdentity): IdentityAnswer {
  const { id, provider, label, email, linkedAt, lastUsedAt } = identity;
  return {
    id,
    provider,
    label,
    email,
    linkedAt: iso(linkedAt),
    lastUsedAt: lastUsedAt === null ? null : iso(lastUsedAt),
  };
}

/** Of an exchange: the token is there if one was asked for. */
export const ExchangeAnswer = LoginAnswer.extend({
  token: z.string().optional().describe('The bearer token, if one was asked for. It is shown only this once.'),
  tokenType: z.literal('Bearer').optional(),
});
export type ExchangeAnswer = z.infer<typeof ExchangeAnswer>;

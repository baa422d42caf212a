/** Who has logged in at a provider; whatever could be verified about it has been. */
export interface VerifiedIdentity {
  /** The provider's name here. */
  readonly provider: string;
  /** Together with `subject` it is the identity. Of Microsoft it is that of the user's tenant. */
  readonly issuer: string;
  readonly subject: string;
  /** One mailbox, or `null` if the provider told none. */
  readonly email: string | null;
  /** Whether the provider has verified it. */
  readonly emailVerified: boolean;
  readonly name?: string;
  /** Epoch ms: when the user proved there who they are, if the provider says so. Never more than a minute ahead. */
  readonly authTime?: number;
  readonly acr?: string;
  readonly amr?: readonly string[];
  /** The name of the provider's own session. */
  readonly sid?: string;
  /** What the login there is worth, as `provider.assurance` has it. */
  readonly aal: 1 | 2;
}

/**
 * Why a login at a provider comes to nothing: it has `failed` to answer as it should, or it has `refused` the user. The
 * message has nothing in it that the provider or a client has sent.
 */
export class ProviderFault extends Error {
  override readonly name = 'ProviderFault';

  constructor(
    readonly kind: 'failed' | 'refused',
    message: string,
  ) {
    super(message);
  }
}

/** A passkey that does not prove what it should. What it was about to prove decides how the client is told. */
export class PasskeyRefusal extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PasskeyRefusal';
  }
}

import { ADA, GRACE } from './demo-accounts.js';
import type { HeldAuthenticator } from './demo.module.js';

/** What the tour leads through. */
interface Demo {
  readonly url: string;
  /** Grace's. */
  readonly authenticator: HeldAuthenticator;
}

/** Three minutes in a browser, one numbered step a paragraph. What stands in “these” is on the page. */
export function tourOf({ url, authenticator: { uri, backupCode } }: Demo): string {
  const steps = [
    `Open ${url} and sign in: ${ADA.email} / ${ADA.password}
This is “Your account”: where you are signed in, and what has happened lately.`,
    `Do the same in a private window, and reload this one: both are in “Where you are signed in”.
Press “Sign out” beside the other one: with its next click, the private window has to sign in again.`,
    `“Sign out” at the top, then “Create an account”: any address, and a password of 15 characters.
The mail is printed here, and is at ${url}/demo/mail: open its link and press “Continue”.`,
    `“Authenticator app”, then “Set up”: its QR code is for your phone. “Cancel”, or type the code that it shows.
“Passkeys”: give one a name, and “Add a passkey” with your fingerprint, face, screen lock or security key.
Then “Your account”, “Sign out”, “Sign in with a passkey”, and “Sign out” again.`,
    `Sign in as somebody with two factors: ${GRACE.email} / ${GRACE.password}
The code of her authenticator is at ${url}/demo/code; a backup code is ${backupCode}
In an authenticator app of yours: ${uri}`,
    `“API keys”: give one a name, tick what it may do, “Make a key”: it is shown this once. Then “Continue”, “Your account”.
(Some time after the sign-in, you would be asked for a proof that it is you before.)
“Authenticator app” has her “Backup codes” and “Trusted browsers”.
Then “Your account”, and “Administration”, which is for her role: all “Accounts”, “Events”, “Used up limits”, the “Health”.
Then “Your account”, and “Sign out everywhere”: that ends every session of hers at once.`,
  ];
  return steps.map((step, i) => `  ${i + 1}. ${step.replaceAll('\n', '\n     ')}`).join('\n\n');
}

/**
 * The subject of each code, and whether it fails the command. A code is never renamed, and never changes its meaning.
 */
export const CODES = {
  AUTH_D01: ['fail', 'AuthModule does not start with these options'],
  AUTH_D02: ['fail', 'A secret that can be guessed'],
  AUTH_D10: ['fail', 'The session cookie goes over plain http'],
  AUTH_D11: ['warn', 'The session cookie is sent by foreign sites'],
  AUTH_D12: ['warn', 'The session cookie can be set by other hosts of the domain'],
  AUTH_D13: ['fail', 'A trusted origin over plain http'],
  AUTH_D14: ['warn', 'Handlers are open unless they say otherwise'],
  AUTH_D20: ['fail', 'Clients can choose their own address'],
  AUTH_D30: ['fail', 'Sessions idle for too long'],
  AUTH_D31: ['fail', 'Sessions live for too long'],
  AUTH_D32: ['fail', 'Nobody can reach the level of --aal'],
  AUTH_D33: ['fail', 'No factor resists phishing, as the level of --aal demands'],
  AUTH_D40: ['fail', 'A rate limit is as good as off'],
  AUTH_D41: ['warn', 'No back-off after failed logins'],
  AUTH_D42: ['warn', 'Without the database nothing is limited'],
  AUTH_D43: ['fail', 'Password hashes that are cheap to guess'],
  AUTH_D44: ['fail', 'A mailed token or code lives for too long'],
  AUTH_D50: ['fail', 'Nothing deletes expired rows'],
  AUTH_D51: ['warn', 'Revocations by other instances are not received'],
  AUTH_D60: ['fail', 'The isolation level of the database'],
  AUTH_D61: ['fail', 'The search_path does not lead to the tables'],
  AUTH_D62: ['warn', 'The clocks of this machine and the database differ'],
  AUTH_D63: ['fail', 'The clocks of this machine and the database differ a lot'],
  AUTH_D64: ['warn', 'Another role may create functions and tables in the schema'],
  AUTH_D70: ['fail', 'A table is missing'],
  AUTH_D71: ['fail', 'A column is missing'],
  AUTH_D72: ['fail', 'An index is missing'],
  AUTH_D73: ['fail', 'A function is missing or not of this version'],
  AUTH_D74: ['fail', 'A trigger is missing or off'],
} as const satisfies Record<string, readonly ['fail' | 'warn', string]>;

export type FindingCode = keyof typeof CODES;

export interface Finding {
  readonly code: FindingCode;
  readonly severity: 'fail' | 'warn';
  /** The description. Never contains a secret, nor an address with one in it. */
  readonly message: string;
  readonly remedy: string;
}

export function finding(code: FindingCode, message: string, remedy: string): Finding {
  return { code, severity: CODES[code][0], message, remedy };
}

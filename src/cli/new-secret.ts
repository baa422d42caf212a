import { randomBytes } from 'node:crypto';

/** 48 bytes: 64 characters of base64url, far beyond guessing. */
export const newSecret = (): string => randomBytes(48).toString('base64url');

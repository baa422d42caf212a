import { minutes } from 'nestjs-latchkey';

/** Of the event `2fa_attempt`, and of every peer. */
export const LIMIT = 5;
export const WINDOW = minutes(15);

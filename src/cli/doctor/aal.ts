import { days, hours, minutes, type Duration } from '../../common/duration.js';

export type Aal = '1' | '2' | '3';

export interface Lifetimes {
  readonly name: string;
  readonly idle: Duration;
  readonly overall: Duration;
}

/** NIST SP 800-63B-4, 2.1.3, 2.2.3 and 2.3.3. */
const LIFETIMES: Readonly<Record<Aal, Lifetimes>> = {
  '1': { name: 'NIST AAL1', idle: days(30), overall: days(30) },
  '2': { name: 'NIST AAL2', idle: hours(1), overall: hours(24) },
  '3': { name: 'NIST AAL3', idle: minutes(15), overall: hours(12) },
};

/** Without a level: AAL1, except for the 90 days that this module's default allows active users. */
const DEFAULT: Lifetimes = { name: 'the default', idle: days(30), overall: days(90) };

export const isAal = (text: string | undefined): text is Aal => text !== undefined && Object.hasOwn(LIFETIMES, text);

export const lifetimesOf = (aal: Aal | undefined): Lifetimes => (aal === undefined ? DEFAULT : LIFETIMES[aal]);

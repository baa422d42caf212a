import { AuthError } from '../auth.errors.js';
import { days, type Duration } from '../common/duration.js';
import { nearestName } from '../common/nearest-name.js';
import { EXTRA_DEFAULTS } from './extra-defaults.js';

const MAX_DURATION = days(400);
/**
 * The names of token types and events are stored in columns of 20 characters, and those of events stand in a structured
 * header field (RFC 9651).
 */
const TYPE_NAME = /^[a-z0-9_]{1,20}$/;

/** A finite number above 0. */
export const isPositive = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value > 0;

/** Collects all mistakes, so that the configuration can be fixed in one go. */
export class OptionChecker {
  private readonly found: string[] = [];

  that(holds: boolean, remedy: string): void {
    if (!holds) this.found.push(remedy);
  }

  keys(prefix: string, value: unknown, known: readonly string[]): void {
    if (!isRecord(value)) {
      this.found.push(`${prefix === '' ? 'The options' : prefix.slice(0, -1)} must be an object.`);
      return;
    }
    for (const key of Object.keys(value).filter((name) => !known.includes(name))) {
      const beside = prefix === '' && Object.hasOwn(EXTRA_DEFAULTS, key) ? ' here: write it beside useFactory' : '';
      const nearest = beside === '' ? nearestName(key, known) : undefined;
      const meant = nearest === undefined ? '' : ` (did you mean ${nearest}?)`;
      this.that(false, `${prefix}${key} is not an option${beside}${meant}; known options: ${known.join(', ')}.`);
    }
  }

  /** The given options over the defaults; an option set to `undefined` keeps its default. */
  settings<Settings extends object>(
    name: string,
    defaults: Settings,
    written: Partial<Settings> | undefined,
  ): Settings {
    if (written === undefined) return defaults;
    this.keys(`${name}.`, written, Object.keys(defaults));
    if (!isRecord(written)) return defaults;
    const values = Object.entries(written).filter(([, value]) => value !== undefined);
    return Object.assign(defaults, Object.fromEntries(values));
  }

  record(name: string, value: unknown): boolean {
    this.that(isRecord(value), `${name} must be an object.`);
    return isRecord(value);
  }

  typeName(name: string, value: string): void {
    this.that(TYPE_NAME.test(value), `${name}: the name must be 1 to 20 of a-z, 0-9 and _.`);
  }

  duration(name: string, value: Duration): void {
    this.that(
      isPositive(value) && value >= 1 && value <= MAX_DURATION,
      `${name} must be a length of time between 1 ms and 400 days in milliseconds: write it as days(30) or hours(8).`,
    );
  }

  flag(name: string, value: unknown): void {
    this.that(typeof value === 'boolean', `${name} must be true or false.`);
  }

  oneOf(name: string, value: unknown, choices: readonly string[]): void {
    const [last, ...others] = choices.map((choice) => `'${choice}'`).toReversed();
    const spelled = `${others.toReversed().join(', ')} or ${last}`;
    this.that(typeof value === 'string' && choices.includes(value), `${name} must be ${spelled}.`);
  }

  integer(name: string, value: number, min: number, max: number): void {
    this.that(
      Number.isInteger(value) && value >= min && value <= max,
      `${name} must be a whole number from ${min} to ${max}.`,
    );
  }

  throwIfAny(): void {
    if (this.found.length === 0) return;
    const mistakes = Object.freeze([...this.found]);
    const list = mistakes.map((mistake) => `\n  - ${mistake}`).join('');
    throw new AuthError('INVALID_CONFIG', `AuthModule cannot start: the options are invalid:${list}`, { mistakes });
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import type { Sample } from './contender.js';

/** What repetitions amount to. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}

/** By contender: one sample each round. */
export class Samples {
  private readonly byName = new Map<string, Sample[]>();

  add(name: string, sample: Sample): void {
    const samples = this.byName.get(name);
    if (samples) samples.push(sample);
    else this.byName.set(name, [sample]);
  }

  of(name: string): readonly Sample[] {
    const samples = this.byName.get(name);
    if (!samples) throw new Error(`${name} was not measured.`);
    return samples;
  }

  perSecond(name: string): Spread {
    return spreadOf(this.of(name).map((sample) => sample.perSecond));
  }

  cpuMicros(name: string): Spread {
    return spreadOf(this.of(name).map((sample) => sample.cpuMicros));
  }

  /** How many times as many operations a second as `other`, round by round: a slow minute slows both. */
  rateRatio(name: string, other: string): Spread {
    const others = this.of(other);
    return spreadOf(this.of(name).map(({ perSecond }, round) => perSecond / others[round]!.perSecond));
  }

  /** The same by processor time: how many of ours fit into one of `other`. */
  cpuRatio(name: string, other: string): Spread {
    const others = this.of(other);
    return spreadOf(this.of(name).map(({ cpuMicros }, round) => others[round]!.cpuMicros / cpuMicros));
  }
}

/** Every name once each round, forwards and then backwards, so that who comes first is not always the same. */
export async function alternate(
  rounds: number,
  names: readonly string[],
  repeat: (name: string, round: number) => Promise<Sample>,
): Promise<Samples> {
  const samples = new Samples();
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 ? names.toReversed() : names) samples.add(name, await repeat(name, round));
  }
  return samples;
}

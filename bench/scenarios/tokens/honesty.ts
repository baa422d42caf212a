export const SUBJECT = 'user-123';

/** One way to write and to read a value; `read` throws, or gives no subject, for what it refuses. */
export interface Codec {
  readonly write: () => string | Promise<string>;
  readonly read: (value: string) => unknown;
}

/** Throws unless the codec gives back the subject, and nothing for a value that somebody has changed. */
export async function honest<C extends Codec>(codec: C): Promise<C> {
  const value = await codec.write();
  if ((await subjectOf(codec, value)) !== SUBJECT) throw new Error(`The subject of ${value} does not come back.`);
  // In the middle there are the claims, near the end there is the signature.
  for (const place of [0.5, 0.95]) {
    const at = Math.floor(value.length * place);
    const forged = value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1);
    if ((await subjectOf(codec, forged)) !== undefined) throw new Error(`A changed value was read: ${forged}`);
  }
  return codec;
}

async function subjectOf(codec: Codec, value: string): Promise<unknown> {
  try {
    return ((await codec.read(value)) as { sub?: unknown } | null)?.sub;
  } catch {
    return undefined;
  }
}

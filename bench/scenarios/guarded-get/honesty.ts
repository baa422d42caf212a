import type { Contender } from './contenders.js';
import type { LiveSession } from './guarded-app.js';

/** Who is measured must do the job: throws for whoever lets the wrong ones in, or answers something else. */
export async function checkHonesty(
  { name, isGuarded = true }: Contender,
  url: string,
  live: readonly LiveSession[],
): Promise<void> {
  for (const { headers, user } of live.slice(0, 5)) {
    const answer = await fetch(url, { headers });
    const body = await answer.text();
    if (answer.status !== 200 || body !== JSON.stringify({ id: user.id, email: user.email })) {
      throw new Error(`${name} answered ${answer.status} ${body} to ${user.email}.`);
    }
  }
  if (!isGuarded) return;
  const [header, value] = Object.entries(live[0]!.headers)[0]!;
  const forged = { [header]: value.split('; ').map(forge).join('; ') };
  for (const headers of [{}, forged]) {
    const answer = await fetch(url, { headers });
    if (answer.status !== 401) throw new Error(`${name} answered ${answer.status} to ${JSON.stringify(headers)}.`);
  }
}

/** Another end: of the signature, or of the token itself. */
function forge(value: string): string {
  return value.slice(0, -20) + value.slice(-20).replaceAll(/[A-Za-z0-9]/g, 'A');
}

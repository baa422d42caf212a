import { Agent, get } from 'node:http';
import type { LoginServer } from './server.js';

const PER_SECOND = 200;

/**
 * Guarded GETs at a fixed rate, however slowly they are answered; the milliseconds that each took from the instant at
 * which it was due, so that those that a stall has held back count with their whole wait.
 */
export async function pacedGets({ url, cookies }: LoginServer, ms: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true });
  const answers: Promise<number>[] = [];
  const began = performance.now();
  const isDue = (number: number) => began + (number * 1000) / PER_SECOND;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      while (isDue(answers.length) <= now && isDue(answers.length) < began + ms) {
        answers.push(took(isDue(answers.length), `${url}/me`, cookies[answers.length % cookies.length]!, agent));
      }
      if (now < began + ms) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  const times = await Promise.all(answers);
  agent.destroy();
  return times;
}

function took(due: number, url: string, cookie: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { cookie } }, (response) => {
      response.resume();
      response.on('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - due);
        else reject(new Error(`A guarded GET was answered ${response.statusCode}.`));
      });
    }).on('error', reject);
  });
}

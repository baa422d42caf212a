import { createHash } from 'node:crypto';

/** A Lua script, which Redis runs atomically: nothing else happens on that node meanwhile. */
export class RedisScript {
  readonly sha: string;

  constructor(readonly text: string) {
    this.sha = createHash('sha1').update(text).digest('hex');
  }
}

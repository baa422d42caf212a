import { createHash } from 'node:crypto';

/** Lua for epoch milliseconds, with microseconds, on the clock of the node that runs the script. */
export const NODE_TIME = `(function()
    local time = redis.call('TIME')
    return string.format('%.3f', time[1] * 1000 + time[2] / 1000)
  end)()`;

/** A Lua script, which Redis runs atomically: nothing else happens on that node meanwhile. */
export class RedisScript {
  readonly sha: string;

  constructor(readonly text: string) {
    this.sha = createHash('sha1').update(text).digest('hex');
  }
}

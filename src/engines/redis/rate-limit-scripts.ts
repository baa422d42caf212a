import { NODE_TIME, RedisScript } from './redis-script.js';

/** How long an event is kept past its window, in milliseconds, for processes whose clock is behind. */
export const KEPT_AFTER_WINDOW = 60_000;

/** Reservations are the youngest members, so a full bucket need not be read as a whole for them. */
const MAX_SCANNED = 100;

/**
 * A bucket is a sorted set of events by instant. Of the events younger than the window, the newest count, up to the
 * limit. Members that begin with `?` are reserved and not yet decided. `ARGV[1]` is the instant; if it is empty, the
 * node's clock decides.
 */
const PRELUDE = `
  local now = ARGV[1] ~= '' and ARGV[1] or ${NODE_TIME}
  local function before(age) return string.format('%.17g', tonumber(now) - tonumber(age)) end
  local function usage(key, window, limit)
    local since = before(window)
    local used = math.min(redis.call('ZCOUNT', key, '(' .. since, '+inf'), limit)
    if used == 0 then return { 0, '', '', 0 } end
    local oldest, newest = redis.call('ZRANGE', key, -used, -used, 'WITHSCORES'), redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
    local reserved = 0
    if used == limit then
      for _, member in ipairs(redis.call('ZRANGE', key, -${MAX_SCANNED}, -1)) do
        if string.sub(member, 1, 1) == '?' then reserved = reserved + 1 end
      end
    end
    return { used, oldest[2], newest[2], reserved }
  end
  local function add(key, member, kept)
    local lives = string.format('%.0f', math.ceil(tonumber(kept)))
    redis.call('ZREMRANGEBYSCORE', key, '-inf', before(kept))
    redis.call('ZADD', key, now, member)
    if redis.call('PTTL', key) < tonumber(lives) then redis.call('PEXPIRE', key, lives) end
  end`;

const script = (body: string) => new RedisScript(`${PRELUDE}\n${body}`);

/**
 * Records the event in all of `KEYS`, or none. `ARGV`: instant, member, then for each key: window, limit, the age from
 * which an event is of no use to anybody. Returns whether it was recorded, the instant, then for each key: used, oldest,
 * newest, reserved.
 */
export const CONSUME = script(`
  local recorded, answer = 1, {}
  for i, key in ipairs(KEYS) do
    local at = 3 * i
    local one = usage(key, ARGV[at], tonumber(ARGV[at + 1]))
    if one[1] >= tonumber(ARGV[at + 1]) then recorded = 0 end
    answer[i] = one
  end
  if recorded == 1 then
    for i, key in ipairs(KEYS) do
      add(key, ARGV[2], ARGV[3 * i + 2])
    end
  end
  return { recorded, now, unpack(answer) }`);

/** Answers as `CONSUME`. */
export const READ = script(`return { 0, now, usage(KEYS[1], ARGV[2], tonumber(ARGV[3])) }`);

export const RECORD = script(`add(KEYS[1], ARGV[2], ARGV[3])`);

/** Turns a reservation into an event, unless the bucket was emptied meanwhile. */
export const CONFIRM = new RedisScript(`
  local instant = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if instant and redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then redis.call('ZADD', KEYS[1], instant, ARGV[2]) end`);

export const RELEASE = new RedisScript(`return redis.call('ZREM', KEYS[1], ARGV[1])`);

export const TAKE_BACK = new RedisScript(`
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1], 'LIMIT', 0, 1)
  return found[1] and redis.call('ZREM', KEYS[1], found[1]) or 0`);

export const CLEAR = new RedisScript(`
  local held = redis.call('ZCARD', KEYS[1])
  redis.call('UNLINK', KEYS[1])
  return held`);

export const DELETE_UP_TO = new RedisScript(`
  local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
  for _, member in ipairs(old) do redis.call('ZREM', KEYS[1], member) end
  return #old`);

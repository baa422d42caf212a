import { RedisScript } from './redis-script.js';

/**
 * `KEYS[1]` is the hash of one user's tokens, or of a single token without a user. A token taken in a transaction is
 * held by it, unavailable to anyone else, until the transaction is decided.
 */
const PRELUDE = `
  local key = KEYS[1]
  local function parse(id, text)
    local row = { id = id }
    row.type, row.expires, row.challengeId, row.nonce, row.holder, row.tail =
      string.match(text, '^(%S+) (%S+) (%S+) (%S+) (%S+)\\n(.*)$')
    return row
  end
  local function write(row)
    local head = table.concat({ row.type, row.expires, row.challengeId, row.nonce, row.holder }, ' ')
    redis.call('HSET', key, row.id, head .. '\\n' .. row.tail)
  end
  local function readAll()
    local flat, rows = redis.call('HGETALL', key), {}
    for i = 1, #flat, 2 do rows[#rows + 1] = parse(flat[i], flat[i + 1]) end
    return rows
  end`;

const script = (body: string) => new RedisScript(`${PRELUDE}\n${body}`);

/**
 * `ARGV`: id, row, lifetime, whether earlier ones of its type go, and the instant before which all are over. Returns
 * the ids removed.
 */
export const INSERT = script(`
  local new, gone = parse(ARGV[1], ARGV[2]), {}
  for _, row in ipairs(readAll()) do
    -- One with the id of the new row is replaced below.
    if row.id ~= new.id and ((ARGV[4] == '1' and row.type == new.type) or tonumber(row.expires) <= tonumber(ARGV[5])) then
      redis.call('HDEL', key, row.id)
      gone[#gone + 1] = row.id
    end
  end
  redis.call('HSET', key, ARGV[1], ARGV[2])
  if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
  return gone`);

/**
 * `ARGV`: id, type, now, column, value, whether it is optional, whether the rest of the type goes, and the transaction
 * that holds them instead of deleting them. Returns the row and the ids deleted or held.
 */
export const TAKE = script(`
  local text = redis.call('HGET', key, ARGV[1])
  local taken = text and parse(ARGV[1], text)
  if not taken or taken.holder ~= '~' or taken.type ~= ARGV[2] or tonumber(taken.expires) <= tonumber(ARGV[3]) then
    return false
  end
  local bound = taken[ARGV[4]]
  if bound == '~' then
    if ARGV[6] ~= '1' then return false end
  elseif bound ~= ARGV[5] then return false end
  local gone = {}
  local function take(row)
    if ARGV[8] == '~' then
      redis.call('HDEL', key, row.id)
      gone[#gone + 1] = row.id
    elseif row.holder == '~' then
      row.holder = ARGV[8]
      write(row)
    end
  end
  if ARGV[7] == '1' then
    for _, row in ipairs(readAll()) do if row.type == taken.type then take(row) end end
  else
    take(taken)
  end
  return { text, unpack(gone) }`);

/** Settles the transaction `ARGV[1]`: what it holds is deleted, or usable again if `ARGV[2]` is 1. */
export const SETTLE = script(`
  local gone = {}
  for _, row in ipairs(readAll()) do
    if row.holder == ARGV[1] then
      if ARGV[2] == '1' then
        row.holder = '~'
        write(row)
      else
        redis.call('HDEL', key, row.id)
        gone[#gone + 1] = row.id
      end
    end
  end
  return gone`);

export const REMOVE = script(`return redis.call('HDEL', key, ARGV[1])`);

/** Deletes those of the type `ARGV[1]`. Returns their ids. */
export const CLEAR_TYPE = script(`
  local gone = {}
  for _, row in ipairs(readAll()) do
    if row.type == ARGV[1] then
      redis.call('HDEL', key, row.id)
      gone[#gone + 1] = row.id
    end
  end
  return gone`);

/** Deletes all, or those created at `ARGV[1]` or later. Returns their ids. */
export const CLEAR = script(`
  local since, gone = tonumber(ARGV[1]), {}
  for _, row in ipairs(readAll()) do
    if not since or cjson.decode(row.tail).createdAt >= since then
      redis.call('HDEL', key, row.id)
      gone[#gone + 1] = row.id
    end
  end
  return gone`);

import { RedisScript } from './redis-script.js';

/**
 * `KEYS[1]` is the hash of one user's tokens, or of a single token without a user. A token that a transaction takes or
 * voids is held by it, unavailable to anyone, until the transaction is decided. A holder is the transaction, `/`, and the
 * call, since a savepoint may undo some of its calls; outside of a transaction it is `~`.
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
  end
  -- Held by a transaction, deleted otherwise and if another transaction holds it: then it is one of the gone. False if
  -- this transaction holds it already.
  local function void(row, holder, gone)
    local transaction = string.match(holder, '^[^/]+/')
    if transaction and string.sub(row.holder, 1, #transaction) == transaction then return false end
    if transaction and row.holder == '~' then
      row.holder = holder
      write(row)
    else
      redis.call('HDEL', key, row.id)
      gone[#gone + 1] = row.id
    end
    return true
  end`;

const script = (body: string) => new RedisScript(`${PRELUDE}\n${body}`);

/**
 * `ARGV`: id, row, lifetime, whether earlier ones of its type go, the instant before which all are over, and the holder.
 * Returns the ids deleted.
 */
export const INSERT = script(`
  local new, gone = parse(ARGV[1], ARGV[2]), {}
  for _, row in ipairs(readAll()) do
    -- One with the id of the new row is replaced below.
    if row.id ~= new.id and tonumber(row.expires) <= tonumber(ARGV[5]) then
      redis.call('HDEL', key, row.id)
      gone[#gone + 1] = row.id
    elseif row.id ~= new.id and ARGV[4] == '1' and row.type == new.type then
      void(row, ARGV[6], gone)
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

/** Voids those of the type `ARGV[1]`, for the holder `ARGV[2]`. Returns how many, and the ids deleted. */
export const CLEAR_TYPE = script(`
  local count, gone = 0, {}
  for _, row in ipairs(readAll()) do
    if row.type == ARGV[1] and void(row, ARGV[2], gone) then count = count + 1 end
  end
  return { tostring(count), unpack(gone) }`);

/** Voids all, or those created at `ARGV[1]` or later, for the holder `ARGV[2]`. Returns how many, and the ids deleted. */
export const CLEAR = script(`
  local since, count, gone = tonumber(ARGV[1]), 0, {}
  for _, row in ipairs(readAll()) do
    local is_meant = not since or cjson.decode(row.tail).createdAt >= since
    if is_meant and void(row, ARGV[2], gone) then count = count + 1 end
  end
  return { tostring(count), unpack(gone) }`);

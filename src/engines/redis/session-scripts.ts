import { MAX_SESSION_DATA } from '../../session/session-data.js';
import { NODE_TIME, RedisScript } from './redis-script.js';

/** How many rotated rows of one user are kept, if the cap of sessions is lower: the most recent ones. */
const MAX_ROTATED = 25;
/** How much longer expired entries are kept, in milliseconds, for processes whose clock is slow. */
export const KEPT_AFTER_END = 24 * 60 * 60 * 1000;

/**
 * `KEYS[1]` is the user's hash. When a session is changed or ended, `ARGV[2]`, which names the user, is published on
 * the channel `ARGV[1]`: ids must not travel, and Lua in Redis lacks the digest that PostgreSQL uses. Both are removed
 * from ARGV.
 */
const PRELUDE = `
  local key, message, changed = KEYS[1], table.remove(ARGV, 2), false
  local function parse(id, text)
    local head, tail = string.match(text, '^([^\\n]*)\\n(.*)$')
    local row = { id = id, tail = tail }
    row.handle, row.created, row.expires, row.absolute, row.authenticated, row.seen, row.rotated, row.successor,
      row.remembered = string.match(head, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) ?(%S*)$')
    if row.remembered == '' then row.remembered = '~' end
    return row
  end
  local function write(row)
    local text = table.concat({ row.handle, row.created, row.expires, row.absolute, row.authenticated, row.seen,
      row.rotated, row.successor, row.remembered }, ' ') .. '\\n' .. row.tail
    redis.call('HSET', key, row.id, text)
    return text
  end
  local function read(id)
    local text = redis.call('HGET', key, id)
    return text and parse(id, text)
  end
  local function readAll()
    local flat, rows = redis.call('HGETALL', key), {}
    for i = 1, #flat, 2 do rows[flat[i]] = parse(flat[i], flat[i + 1]) end
    return rows
  end
  local removed = {}
  local function remove(rows, row)
    redis.call('HDEL', key, row.id)
    rows[row.id] = nil
    removed[#removed + 1] = table.concat({ row.id, row.handle, row.expires, row.rotated }, ' ')
    changed = true
  end
  local function lesser(a, b) return tonumber(a) < tonumber(b) and a or b end
  -- Ends the rows that this is true of. Returns how many of them were sessions.
  local function close(rows, isMeant)
    local ended, gone = 0, {}
    for _, row in pairs(rows) do if isMeant(row) then gone[#gone + 1] = row end end
    for _, row in ipairs(gone) do
      if row.rotated == '~' then ended = ended + 1 end
      remove(rows, row)
    end
    return ended
  end
  local function publish()
    if changed then redis.call('PUBLISH', ARGV[1], message) end
  end`;

const script = (body: string) => new RedisScript(`${PRELUDE}\n${body}`);

/** On the clock of the node that has this key. */
export const NOW = new RedisScript(`return ${NODE_TIME}`);

/**
 * Returns the new row and the removed ones (see `parseRemoved`); nothing if it is refused, and then nothing has
 * changed. Without an instant of the rotation, Redis's clock says when it was: another process, whose clock may differ,
 * decides whether the old token still comes in time. With `elevates`, the old session has to be there as for a mere
 * rotation, and its handle and data are kept.
 */
export const OPEN = script(`
  local id, now, wanted, handle, absolute, authenticated, tail, replaces, successor, most, remembered, longer, rotation,
    elevates = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12],
    ARGV[13], ARGV[14], ARGV[15] == '1'
  local instant, rows = tonumber(now), readAll()
  local replaced = rows[replaces]
  local isLogin = authenticated ~= ''
  if elevates or not isLogin then
    if not replaced or replaced.rotated ~= '~' or tonumber(replaced.expires) <= instant
      or tonumber(replaced.absolute) <= instant then return false end
    handle = replaced.handle
    if not isLogin then
      absolute, authenticated, remembered = replaced.absolute, replaced.authenticated, replaced.remembered
      if remembered == '1' then wanted = longer end
      -- No name of a method has a bracket in it.
      local proof = string.match(string.match(replaced.tail, '^[^\\n]*'), ',[12],%[[^%[%]]*%]%]$')
      if proof then tail = string.sub(tail, 1, -2) .. proof end
    end
    tail = tail .. (string.match(replaced.tail, '\\n.*$') or '')
    if rotation == '' then rotation = ${NODE_TIME} end
    replaced.rotated, replaced.successor, replaced.expires = rotation, successor, lesser(replaced.expires, now)
    write(replaced)
    changed = true
  elseif replaced then
    close(rows, function(row) return row.handle == replaced.handle end)
  end
  close(rows, function(row) return tonumber(row.absolute) <= instant - ${KEPT_AFTER_END} end)
  local sessions, rotated = {}, {}
  for _, row in pairs(rows) do
    local list = row.rotated == '~' and sessions or rotated
    list[#list + 1] = row
  end
  local function cap(list, places, used)
    table.sort(list, function(a, b)
      local aRuns, bRuns = tonumber(a.expires) > instant, tonumber(b.expires) > instant
      if aRuns ~= bRuns then return aRuns end
      if used(a) ~= used(b) then return used(a) > used(b) end
      return a.id < b.id
    end)
    for i = places + 1, #list do remove(rows, list[i]) end
  end
  cap(sessions, most - 1, function(row) return tonumber(row.seen) end)
  cap(rotated, math.max(most, ${MAX_ROTATED}), function(row) return tonumber(row.rotated) end)
  local text = write({ id = id, handle = handle, created = now, expires = lesser(wanted, absolute), absolute = absolute,
    authenticated = authenticated, seen = now, rotated = '~', successor = '~', remembered = remembered,
    tail = tail })
  local lives = math.ceil(tonumber(absolute) - instant) + ${KEPT_AFTER_END}
  if redis.call('PTTL', key) < lives then redis.call('PEXPIRE', key, string.format('%.0f', lives)) end
  publish()
  return { text, unpack(removed) }`);

/** Returns the expiry now in force, or nothing. `below` keeps the second of two concurrent callers from writing. */
export const EXTEND = script(`
  local now, wanted, below, row = ARGV[3], ARGV[4], tonumber(ARGV[5]), read(ARGV[2])
  if not row or row.rotated ~= '~' or tonumber(row.expires) <= tonumber(now) or tonumber(row.expires) >= below
    or tonumber(row.absolute) <= tonumber(now) then return false end
  row.seen, row.expires = now, lesser(wanted, row.absolute)
  write(row)
  changed = true
  publish()
  return row.expires`);

/**
 * Changes fields of the session's data, given from `ARGV[4]` on as name and value, both JSON; no value deletes. Returns
 * the lines of all fields as they are now, or nothing if it is refused. The size is that of the fields with PostgreSQL's spaces between them.
 */
export const UPDATE_DATA = script(`
  local now, row = tonumber(ARGV[3]), read(ARGV[2])
  if not row or row.rotated ~= '~' or tonumber(row.expires) <= now or tonumber(row.absolute) <= now then return false end
  local new, lines, size = {}, {}, 2
  local function keep(name, value)
    if value == '' then return end
    size = size + #name + #value + (#lines == 0 and 2 or 4)
    lines[#lines + 1] = name .. '\\t' .. value
  end
  for i = 4, #ARGV, 2 do new[ARGV[i]] = ARGV[i + 1] end
  for name, value in string.gmatch(row.tail, '\\n([^\\t\\n]*)\\t([^\\n]*)') do
    keep(name, new[name] or value)
    new[name] = nil
  end
  for i = 4, #ARGV, 2 do keep(ARGV[i], new[ARGV[i]] or '') end
  if size > ${MAX_SESSION_DATA} then return false end
  row.tail = table.concat({ string.match(row.tail, '^[^\\n]*'), unpack(lines) }, '\\n')
  write(row)
  changed = true
  publish()
  return lines`);

/**
 * Ends the families of the ids from `ARGV[2]` on. Returns the number of sessions ended, how many of the ids named
 * rotated rows, and the rows deleted.
 */
export const CLOSE_FAMILIES = script(`
  local rows, handles, presented = readAll(), {}, 0
  for i = 2, #ARGV do
    local row = rows[ARGV[i]]
    if row then
      handles[row.handle] = true
      if row.rotated ~= '~' then presented = presented + 1 end
    end
  end
  local ended = close(rows, function(row) return handles[row.handle] end)
  publish()
  return { ended, presented, unpack(removed) }`);

export const CLOSE_BY_HANDLE = script(`
  local ended = close(readAll(), function(row) return row.handle == ARGV[2] end)
  publish()
  return { ended, 0, unpack(removed) }`);

/** Ends all families except that of `ARGV[2]`. */
export const CLOSE_ALL = script(`
  local rows = readAll()
  local kept = rows[ARGV[2]] and rows[ARGV[2]].handle
  local ended = close(rows, function(row) return row.handle ~= kept end)
  publish()
  return { ended, 0, unpack(removed) }`);

-- The log that several nodes share: one list of entries for each owner (decision 0028).
--
-- What an entry says is none of this server's business; only its place is. KEYS[1] of every function is
-- the record of the bucket, which says the generation; a bucket without it was lost. `armed` is in
-- the memory of this process alone: a restart, a reload of the library and a copy of another server's data
-- all forget it, and what forgot it may have forgotten entries too.
--
-- `armed` and every record say the generation and a term, which is another one for each act of arming. A
-- server that was armed, became a replica without losing its memory and is promoted again is armed for a
-- term that its records are past.

local armed = false
-- What `arm` was last said of here, in this memory too.
local meant = false
local GENERATION_SIZE = 32

-- Who may append to a log alone for a short while: which node, and since when. Where nothing came of it, nobody
-- gets the log again for as long, so that it is not kept from the others.
local claims = {}
local CLAIM_US = 100000

local function generation_of(armed_for)
  return string.sub(armed_for, 1, GENERATION_SIZE)
end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Of a claim, also where the clock was set back.
local function is_within(claim, now, most)
  return claim.at <= now and now < claim.at + most
end

local function is_anothers(log, node)
  local claim = claims[log]
  return claim and claim.node ~= node and is_within(claim, now_us(), CLAIM_US)
end

-- Whether the entry before this place is the one that the caller knows there: a log that lost its end and
-- grew again is another one. An entry's identity stands behind its first byte.
local function follows(log, from, after)
  if from == 0 then
    return true
  end
  local before = redis.call('LINDEX', log, from - 1)
  return before and string.sub(before, 2, 17) == after
end

-- What speaks against a caller, who knows the log up to a place. KEYS: record, log. ARGV begins with:
-- generation, the place, identity of the entry before it. Without a log, only the record is looked at.
local function refusal(keys, args)
  if not armed or generation_of(armed) ~= args[1] then
    return 'unarmed'
  end
  local is_so = redis.call('GET', keys[1]) == armed
  if not is_so or keys[2] and not follows(keys[2], tonumber(args[2]), args[3]) then
    armed = false
    return 'lost'
  end
  return false
end

-- Whether a bucket is one that this server is armed for. KEYS: record. ARGV: generation.
local function look(keys, args)
  return {refusal(keys, args) or 'newer'}
end

local function newer(log, from, most)
  local entries = redis.call('LRANGE', log, from, from + most - 1)
  table.insert(entries, 1, 'newer')
  return entries
end

-- ARGV goes on with: entries of an answer at most, channel, owner, entry.
local function append(keys, args)
  local refused = refusal(keys, args)
  if refused then
    return {refused}
  end
  local expected = tonumber(args[2])
  local length = redis.call('LLEN', keys[2])
  if length ~= expected then
    return newer(keys[2], expected, tonumber(args[4]))
  end
  -- An entry's identity ends with its node.
  local node = string.sub(args[7], 10, 17)
  if claims[keys[2]] then
    if is_anothers(keys[2], node) then
      return {'claimed'}
    end
    if claims[keys[2]].node == node then
      claims[keys[2]] = nil
    end
  end
  redis.call('RPUSH', keys[2], args[7])
  -- What was written is not taken back where telling fails; who is not told learns it later.
  redis.pcall('PUBLISH', args[5], args[6] .. string.format('%016.0f', length) .. args[7])
  return {'appended'}
end

-- ARGV goes on with: entries at most.
local function read(keys, args)
  local refused = refusal(keys, args)
  if refused then
    return {refused}
  end
  return newer(keys[2], tonumber(args[2]), tonumber(args[4]))
end

-- As `read`, and for a short while nobody but the caller's node may append: whoever decides more slowly than
-- others append would never come first. Where it is not to be had it is read all the same. ARGV goes on with:
-- entries at most, node.
local function claim(keys, args)
  local refused = refusal(keys, args)
  if refused then
    return {refused}
  end
  local now = now_us()
  local last = claims[keys[2]]
  if not last or not is_within(last, now, 2 * CLAIM_US) then
    claims[keys[2]] = {node = args[5], at = now}
  end
  return newer(keys[2], tonumber(args[2]), tonumber(args[4]))
end

-- The functions that follow concern all buckets of this server. In a cluster these are of many slots, so that their
-- keys come as arguments: the ledger's name, where it is this server's, and records.
local LEDGER = 'countersign:ledger'

-- Writes down which ledger it is.
local function write_down(args, from, generation, term)
  for i = from, #args do
    redis.call('SET', args[i], args[i] == LEDGER and generation or generation .. term)
  end
end

-- ARGV: generation, term, keys. Said again with the same two it comes to the same.
local function found(_, args)
  for i = 3, #args do
    local said = redis.call('GET', args[i])
    if said and said ~= args[1] .. args[2] then
      return {'exists'}
    end
  end
  write_down(args, 3, args[1], args[2])
  armed = args[1] .. args[2]
  return {'armed'}
end

-- Arming has three steps, each at every server before the next one is at any: `arm` has it approve nothing and
-- writes the term down, `ready` looks whether that still stands, and `open` has it approve. Of two that are
-- arming at once at least one finds the other's term before it has opened anything. ARGV of each: generation, term, keys.
local function arm(_, args)
  armed = false
  meant = false
  for i = 3, #args do
    local said = redis.call('GET', args[i])
    if not said or generation_of(said) ~= args[1] then
      return {'lost'}
    end
  end
  write_down(args, 3, args[1], args[2])
  meant = args[1] .. args[2]
  return {'prepared'}
end

local function is_ready(args)
  local term = args[1] .. args[2]
  local is_so = meant == term
  for i = 3, #args do
    is_so = is_so and redis.call('GET', args[i]) == (args[i] == LEDGER and args[1] or term)
  end
  return is_so
end

local function ready(_, args)
  return {is_ready(args) and 'ready' or 'other'}
end

local function open(_, args)
  if not is_ready(args) then
    return {'other'}
  end
  armed = args[1] .. args[2]
  return {'armed'}
end

-- What is there: how many keys are missing, then each generation that the others say, once. ARGV: keys.
local function survey(_, args)
  local missing, answer, seen = 0, {}, {}
  for _, key in ipairs(args) do
    local said = redis.call('GET', key)
    local generation = said and generation_of(said)
    if not generation then
      missing = missing + 1
    elseif not seen[generation] then
      seen[generation] = true
      table.insert(answer, generation)
    end
  end
  table.insert(answer, 1, tostring(missing))
  return answer
end

-- Lets nothing more be approved by this server, also where it is a replica, which may be promoted. ARGV: nothing, or
-- generation and term, where it is to stay armed for any other.
local function close(_, args)
  if not args[1] or armed == args[1] .. args[2] then
    armed = false
    meant = false
  end
  return {'closed'}
end

-- Writes down again which ledger it is, in a Redis that is not armed and holds no other one. Repair begins
-- so. ARGV: generation, keys.
local function restore(_, args)
  local is_whole = armed
  for i = 2, #args do
    local said = redis.call('GET', args[i])
    if said and generation_of(said) ~= args[1] then
      return {'exists'}
    end
    is_whole = is_whole and said == (args[i] == LEDGER and args[1] or armed)
  end
  if is_whole then
    return {'armed'}
  end
  armed = false
  meant = false
  write_down(args, 2, args[1], '')
  return {'restored'}
end

-- Puts an entry back at its place, unless it is there. KEYS: record, log. ARGV: generation, the place,
-- identity of the entry before it, the entry.
local function mend(keys, args)
  if armed then
    return {'armed'}
  end
  local said = redis.call('GET', keys[1])
  if not said or generation_of(said) ~= args[1] then
    return {'lost'}
  end
  local place = tonumber(args[2])
  local length = redis.call('LLEN', keys[2])
  if length < place then
    return {'missing'}
  end
  if length > place then
    local there = redis.call('LINDEX', keys[2], place)
    return {there == args[4] and 'known' or 'other'}
  end
  if not follows(keys[2], place, args[3]) then
    return {'other'}
  end
  redis.call('RPUSH', keys[2], args[4])
  return {'put'}
end

local function standing()
  return {armed or 'unarmed'}
end

local function of_all_buckets(name, callback)
  local flags = {'allow-cross-slot-keys'}
  redis.register_function{function_name = name, callback = callback, flags = flags}
end

redis.register_function('NAME_append', append)
-- None of these is flagged as one that writes nothing: a server that takes no writes (a replica, a primary without
-- its replicas) is one whose log is not the log any more, and its word proves nothing.
redis.register_function('NAME_read', read)
redis.register_function('NAME_claim', claim)
redis.register_function('NAME_look', look)
redis.register_function('NAME_mend', mend)
of_all_buckets('NAME_found', found)
of_all_buckets('NAME_arm', arm)
of_all_buckets('NAME_ready', ready)
of_all_buckets('NAME_open', open)
of_all_buckets('NAME_restore', restore)
redis.register_function{
  function_name = 'NAME_survey', callback = survey, flags = {'allow-cross-slot-keys', 'no-writes'}
}
-- These two are about the server's memory alone, whatever it is at this moment.
local of_memory = {'no-writes', 'allow-stale'}
redis.register_function{function_name = 'NAME_close', callback = close, flags = of_memory}
redis.register_function{function_name = 'NAME_standing', callback = standing, flags = of_memory}

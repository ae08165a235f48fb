-- The log that several nodes share: one list of entries for each owner (decision 0028).
--
-- What an entry says is none of this server's business; only its place is. KEYS[1] of every function is
-- the record of the bucket, which says the generation; a bucket without it was lost. `armed` is in
-- the memory of this process alone: a restart, a promotion and a reload of the library all forget it, and
-- what forgot it may have forgotten entries too.

local armed = false

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
-- generation, the place, identity of the entry before it.
local function refusal(keys, args)
  if armed ~= args[1] then
    return 'unarmed'
  end
  if redis.call('GET', keys[1]) ~= args[1] or not follows(keys[2], tonumber(args[2]), args[3]) then
    armed = false
    return 'lost'
  end
  return false
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

-- KEYS: the ledger's name, every record. ARGV: generation.
local function found(keys, args)
  for _, key in ipairs(keys) do
    if redis.call('EXISTS', key) == 1 then
      return {'exists'}
    end
  end
  for _, key in ipairs(keys) do
    redis.call('SET', key, args[1])
  end
  armed = args[1]
  return {'armed'}
end

-- KEYS: the ledger's name, every record. ARGV: generation.
local function arm(keys, args)
  for _, key in ipairs(keys) do
    if redis.call('GET', key) ~= args[1] then
      armed = false
      return {'lost'}
    end
  end
  armed = args[1]
  return {'armed'}
end

-- Writes down again which ledger it is, in a Redis that is not armed and holds no other one. Repair begins
-- so. KEYS: the ledger's name, every record. ARGV: generation.
local function restore(keys, args)
  local is_whole = true
  for _, key in ipairs(keys) do
    local said = redis.call('GET', key)
    if said and said ~= args[1] then
      return {'exists'}
    end
    is_whole = is_whole and said
  end
  if armed and is_whole then
    return {'armed'}
  end
  armed = false
  for _, key in ipairs(keys) do
    redis.call('SET', key, args[1])
  end
  return {'restored'}
end

-- Puts an entry back at its place, unless it is there. KEYS: record, log. ARGV: generation, the place,
-- identity of the entry before it, the entry.
local function mend(keys, args)
  if armed then
    return {'armed'}
  end
  if redis.call('GET', keys[1]) ~= args[1] then
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

redis.register_function('NAME_append', append)
redis.register_function{function_name = 'NAME_read', callback = read, flags = {'no-writes'}}
redis.register_function('NAME_found', found)
redis.register_function('NAME_arm', arm)
redis.register_function('NAME_restore', restore)
redis.register_function('NAME_mend', mend)
redis.register_function{function_name = 'NAME_standing', callback = standing, flags = {'no-writes'}}

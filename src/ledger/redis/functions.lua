-- The log that several nodes share: one list of entries for each owner (decision 0028).
--
-- What an entry says is none of this server's business; only its place is. KEYS[1] of every function is
-- the record of the bucket, which says the generation; a bucket without it was lost. `armed` is in
-- the memory of this process alone: a restart, a promotion and a reload of the library all forget it, and
-- what forgot it may have forgotten entries too.

local armed = false

local function refusal(record, generation)
  if armed ~= generation then
    return 'unarmed'
  end
  if redis.call('GET', record) ~= generation then
    armed = false
    return 'lost'
  end
  return false
end

local function page(log, from, most)
  return redis.call('LRANGE', log, from, from + most - 1)
end

-- KEYS: record, log. ARGV: generation, expected length, entries of an answer at most, channel,
-- owner, entry.
local function append(keys, args)
  local refused = refusal(keys[1], args[1])
  if refused then
    return {refused}
  end
  local expected = tonumber(args[2])
  local length = redis.call('LLEN', keys[2])
  if length == expected then
    redis.call('RPUSH', keys[2], args[6])
    redis.call('PUBLISH', args[4], args[5] .. string.format('%016.0f', length) .. args[6])
    return {'appended'}
  end
  if length > expected then
    local newer = page(keys[2], expected, tonumber(args[3]))
    table.insert(newer, 1, 'newer')
    return newer
  end
  armed = false
  return {'lost'}
end

-- KEYS: record, log. ARGV: generation, first entry, entries at most.
local function read(keys, args)
  local refused = refusal(keys[1], args[1])
  if refused then
    return {refused}
  end
  local from = tonumber(args[2])
  if redis.call('LLEN', keys[2]) < from then
    armed = false
    return {'lost'}
  end
  local entries = page(keys[2], from, tonumber(args[3]))
  table.insert(entries, 1, 'newer')
  return entries
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

local function standing()
  return {armed or 'unarmed'}
end

redis.register_function('NAME_append', append)
redis.register_function('NAME_read', read)
redis.register_function('NAME_found', found)
redis.register_function('NAME_arm', arm)
redis.register_function{function_name = 'NAME_standing', callback = standing, flags = {'no-writes'}}

-- One question to a room; `domain.step` says the same in Python, and a test compares the two.
-- KEYS: facts, line (place → number), seen (place → last asked for), inside (place → end), used (place → known until)
-- ARGV: what, now in µs (0: this server's clock), interval, capacity, burst, absent, admission, settle, linger, places
--       at most, places an address at most, claim, keep, ms to keep the keys, always on, pressed,
--       place, number, holder, address, tag
local FACTS, LINE, SEEN, INSIDE, USED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local MOST = 100
local op, now = ARGV[1], tonumber(ARGV[2])
local interval, capacity, burst, absent = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local admission, settle, linger = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local places_max, address_max = tonumber(ARGV[10]), tonumber(ARGV[11])
local claim, keep, idle = tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14]
local always_on, pressed = ARGV[15] == '1', ARGV[16] == '1'
local place, number, holder, address, tag = ARGV[17], tonumber(ARGV[18]), ARGV[19], ARGV[20], ARGV[21]
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local NAMES = {'clock', 'born', 'opens', 'next', 'due', 'gap', 'last', 'auto'}
local room = {}
for i, value in ipairs(redis.call('HMGET', FACTS, unpack(NAMES))) do room[NAMES[i]] = tonumber(value or 0) end

local function text(value) return string.format('%.0f', value) end
local function has(key, id) return id ~= '' and redis.call('ZSCORE', key, id) end
local function count(key) return redis.call('ZCARD', key) end

local function remove(id)
  redis.call('ZREM', LINE, id)
  redis.call('ZREM', SEEN, id)
  redis.call('ZREM', INSIDE, id)
  local about = redis.call('HGET', FACTS, 'p:' .. id)
  redis.call('HDEL', FACTS, 'c:' .. id, 'p:' .. id)
  if about then
    local _, whose, from = string.match(about, '^(%d+)\n(.-)\n(.*)$')
    if redis.call('HGET', FACTS, 'h:' .. whose) == id then redis.call('HDEL', FACTS, 'h:' .. whose) end
    if from ~= '' and redis.call('HINCRBY', FACTS, 'a:' .. from, -1) <= 0 then
      redis.call('HDEL', FACTS, 'a:' .. from)
    end
  end
end

local function over(key, moment)
  return redis.call('ZRANGEBYSCORE', key, '-inf', text(moment), 'LIMIT', 0, MOST)
end

local function put(id, its_number)
  redis.call('ZADD', LINE, text(its_number), id)
  redis.call('ZADD', SEEN, text(now), id)
  redis.call('HSET', FACTS, 'p:' .. id, text(its_number) .. '\n' .. holder .. '\n' .. address, 'h:' .. holder, id)
  if address ~= '' then redis.call('HINCRBY', FACTS, 'a:' .. address, 1) end
end

if now < room.clock then now = room.clock end
room.clock = now
if room.born == 0 then room.born, room.opens = now, now + settle end
if op == 'enter' then place = redis.call('HGET', FACTS, 'h:' .. holder) or place end
if has(LINE, place) then redis.call('ZADD', SEEN, text(now), place) end

-- What is over
local expired = 0
local gone = over(SEEN, now - absent)
for _, id in ipairs(over(INSIDE, now)) do gone[#gone + 1] = id end
for _, id in ipairs(gone) do remove(id) expired = expired + 1 end
for _, id in ipairs(over(USED, now)) do
  redis.call('ZREM', USED, id)
  redis.call('HDEL', FACTS, 'u:' .. id)
end

-- Whether anybody has to wait
local on = always_on
if not on then
  if (pressed or count(LINE) > 0) and room.auto < now + linger then room.auto = now + linger end
  on = room.auto > now
end

-- What the question changes
local WAITING, ADMITTED, EXPIRED, SPENT, FULL, CROWDED, OPEN, BUSY, PASSED, REPEATED, NONE = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local verdict
local function no_room()
  if count(LINE) >= places_max then return FULL end
  if address ~= '' and tonumber(redis.call('HGET', FACTS, 'a:' .. address) or 0) >= address_max then return CROWDED end
end
if op == 'settle' then
  remove(place)
  redis.call('ZADD', USED, text(now + keep), place)
  redis.call('HSET', FACTS, 'u:' .. place, tag)
  verdict = SPENT
elseif op == 'release' then
  local held = redis.call('HGET', FACTS, 'c:' .. place)
  if held and string.sub(held, string.find(held, ':', 1, true) + 1) == tag then redis.call('HDEL', FACTS, 'c:' .. place) end
elseif not on then
  verdict = OPEN
elseif op == 'watch' or place == '' then
  verdict = NONE
elseif has(LINE, place) or has(INSIDE, place) or has(USED, place) then
  verdict = nil
elseif op == 'enter' then
  verdict = no_room()
  if not verdict then
    local its_number = now
    if room.next > its_number then its_number = room.next end
    room.next = its_number + 1
    put(place, its_number)
  end
elseif number >= room.born then
  verdict = EXPIRED
else
  local other = redis.call('HGET', FACTS, 'h:' .. holder)
  verdict = no_room()
  if not verdict and other and not has(LINE, other) then verdict = EXPIRED end
  if not verdict then
    if other then remove(other) end
    put(place, number)
  end
end

-- Who is let in
local let_in = 0
if on then
  if room.due < now - burst then room.due = now - burst end
  while let_in < MOST and room.due <= now and now >= room.opens and count(INSIDE) < capacity do
    local first = redis.call('ZPOPMIN', LINE)[1]
    if not first then break end
    redis.call('ZREM', SEEN, first)
    redis.call('ZADD', INSIDE, text(now + admission), first)
    room.due = room.due + interval
    let_in = let_in + 1
  end
  if let_in > 0 then
    if room.last > 0 then
      local observed = math.floor((now - room.last) / let_in)
      if room.gap > 0 then room.gap = room.gap + math.floor((observed - room.gap) / 8) else room.gap = observed end
    end
    room.last = now
  end
  if count(LINE) == 0 then
    room.last = 0
  elseif room.last == 0 then
    room.last = now
  end
end

-- How it stands
if not verdict then
  if has(LINE, place) then
    verdict = WAITING
  elseif has(INSIDE, place) then
    verdict = ADMITTED
    if op == 'claim' then
      local held = redis.call('HGET', FACTS, 'c:' .. place)
      local at = held and string.find(held, ':', 1, true)
      if held and tonumber(string.sub(held, 1, at - 1)) > now and string.sub(held, at + 1) ~= tag then
        verdict = BUSY
      else
        redis.call('HSET', FACTS, 'c:' .. place, text(now + claim) .. ':' .. tag)
        verdict = PASSED
      end
    end
  elseif has(USED, place) then
    verdict = SPENT
    if op == 'claim' and redis.call('HGET', FACTS, 'u:' .. place) == tag then verdict = REPEATED end
  else
    verdict = EXPIRED
  end
end

local written = {}
for _, name in ipairs(NAMES) do
  written[#written + 1] = name
  written[#written + 1] = text(room[name])
end
redis.call('HSET', FACTS, unpack(written))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, idle) end

local position = 0
local about = redis.call('HGET', FACTS, 'p:' .. place)
if about then number = tonumber(string.match(about, '^%d+')) end
if has(LINE, place) then position = redis.call('ZRANK', LINE, place) + 1 end
return {
  verdict, number, position, tonumber(has(INSIDE, place) or 0), count(LINE), count(INSIDE), on and 1 or 0,
  let_in, expired, room.gap, room.opens, now, place,
}

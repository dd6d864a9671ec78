-- One decision; `rules.decide` says the same in Python, and a test compares the two.
-- KEYS: audit stream, solution ('' when there is none), marks, buckets
-- ARGV: now in µs (0: this server's clock), number of marks, excused, ms to keep the solution, whether to write always,
--       note, longest stream, what was decided before (0: nothing), then interval, capacity, cost, level of each bucket
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local marks, excused, once = tonumber(ARGV[2]), ARGV[3] == '1', KEYS[2]
local code, index, wait, bucket, left, reset = tonumber(ARGV[8]), 0, 0, 0, 0, 0

if code == 0 and marks > 0 then
  local found = redis.call('MGET', unpack(KEYS, 3, 2 + marks))
  for i = 1, marks do
    if found[i] == '2' then
      code, index, wait = 2, i - 1, redis.call('PTTL', KEYS[2 + i]) * 1000
      break
    elseif found[i] and not excused and code == 0 then
      code, index = 1, i - 1
    end
  end
end
if code == 0 and once ~= '' and redis.call('EXISTS', once) == 1 then
  code = 5
end

local due = {}
if code == 0 then
  local least
  for i = 1, #KEYS - 2 - marks do
    local at = 9 + 4 * (i - 1)
    local interval, capacity = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local cost, level = tonumber(ARGV[at + 2]), ARGV[at + 3]
    local tat = tonumber(redis.call('GET', KEYS[2 + marks + i]) or 0)
    if tat < now then tat = now end
    tat = tat + interval * cost
    local backlog = tat - now
    local room = interval * capacity - backlog
    if room < 0 and level == '2' then
      code, index, wait, bucket, left, reset = 4, i - 1, -room, i - 1, 0, backlog - interval * cost
      break
    elseif room < 0 and code == 0 then
      code, index, wait, bucket, left, reset = 3, i - 1, -room, i - 1, 0, backlog - interval * cost
    elseif code == 0 then
      local fits = math.floor(room / interval)
      if not least or fits < least then
        least, bucket, left, reset = fits, i - 1, fits, backlog
      end
    end
    due[i] = tat
  end
end

if code == 0 then
  for i = 1, #due do
    local ttl = math.ceil((due[i] - now) / 1000)
    redis.call('SET', KEYS[2 + marks + i], string.format('%.0f', due[i]), 'PX', ttl)
  end
  if once ~= '' then redis.call('SET', once, '1', 'PX', ARGV[4]) end
end
if code > 0 or ARGV[5] == '1' then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[7], '*', 'c', code, 'i', index, 'd', ARGV[6])
end
return {code, index, wait, bucket, left, reset}

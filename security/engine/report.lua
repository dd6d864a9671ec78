-- What went wrong; `rules.report` says the same in Python, and a test compares the two.
-- KEYS: counter and mark of each failure
-- ARGV: now in µs (0: this server's clock), then interval, soft, hard, ms of a mark, ms of a ban of each
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
for i = 1, #KEYS / 2 do
  local key, mark, at = KEYS[2 * i - 1], KEYS[2 * i], 2 + 5 * (i - 1)
  local interval, soft, hard = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local tat = tonumber(redis.call('GET', key) or 0)
  if tat < now then tat = now end
  tat = tat + interval
  local backlog = tat - now
  if backlog > interval * hard then
    tat = now + interval * hard
    redis.call('SET', mark, '2', 'PX', ARGV[at + 4])
  elseif backlog > interval * soft and redis.call('GET', mark) ~= '2' then
    redis.call('SET', mark, '1', 'PX', ARGV[at + 3])
  end
  redis.call('SET', key, string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
end
return {0}

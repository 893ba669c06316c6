-- Idempotency, offset, append and announcement in one step.
-- KEYS: partition, meta, stream, sent id
-- ARGV: now, channel_ttl, fresh epoch, durable, slack, message id, body without its position, history_size, history_ttl,
--       idempotency window, how long the id is kept, topic, topic of the partition, announcing command
-- Returns {repeated, epoch, offset} and, where it is not repeated, {.., seq, link_epoch, link_top}.
local now, ttl, slack = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local sent = redis.call('GET', KEYS[4])
if sent then
  local at, offset, epoch = string.match(sent, '^(%d+) (%d+) (.+)$')
  if tonumber(at) + tonumber(ARGV[10]) > now then return {1, epoch, tonumber(offset)} end
end

local it = open(KEYS[1], KEYS[2], KEYS[3], now, ttl, ARGV[3], ARGV[4] == '1')
local offset = string.format('%.0f', it.top + 1)
local size, history_ttl = tonumber(ARGV[8]), tonumber(ARGV[9])
local body = ARGV[7] .. ',"epoch":"' .. it.epoch .. '","offset":' .. offset .. '}'
if size > 0 then
  redis.call('XADD', KEYS[3], 'MAXLEN', '=', size, offset .. '-0', 'b', body, 'a', ARGV[1], 'i', ARGV[6])
end
redis.call('HSET', KEYS[2], 'top', offset, 'at', ARGV[1], 'id', ARGV[6])
-- Now and then, by when it was done last. By the pause between two publications, a channel without pauses would be lost.
-- Either way: the clocks of two nodes differ.
if it.top == 0 or math.abs(now - it.prolonged) > slack / 4 then
  redis.call('PEXPIRE', KEYS[2], ttl + slack)
  if size > 0 then redis.call('PEXPIRE', KEYS[3], history_ttl + slack) end
  redis.call('HSET', KEYS[2], 'prolonged', ARGV[1])
end
redis.call('SET', KEYS[4], ARGV[1] .. ' ' .. offset .. ' ' .. it.epoch, 'PX', ARGV[11])

local link_epoch, link_top = '-', '0'
if it.top == 0 then link_epoch, link_top = it.link_epoch, it.link_top end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local announcement = seq .. ' ' .. ARGV[1] .. ' ' .. link_top .. ' ' .. link_epoch .. '\n' .. body
redis.call(ARGV[14], ARGV[12], announcement)
redis.call(ARGV[14], ARGV[13], announcement)
return {0, it.epoch, it.top + 1, seq, link_epoch, tonumber(link_top)}

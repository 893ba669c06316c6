-- A node is there. KEYS: nodes, revocations. ARGV: node, lease in ms.
-- Returns {all nodes that are there, how many revocations there ever were}. By the clock of Redis, which all nodes share.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
return {redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('HGET', KEYS[2], '#') or '0'}

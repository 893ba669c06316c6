-- Shared by publish.lua and read.lua, which come after this text in one script.
-- Every time is in milliseconds and comes from the node that asks.

-- The name of the partition's life. Not durable: a server that restarted, or was promoted, may have lost what it had
-- acknowledged, and offsets that were lost must not be given again under the same epoch. Each of them has another replid.
local function life_of(part, fresh, durable)
  local known = redis.call('HMGET', part, 'life', 'replid')
  local replid = '-'
  if not durable then replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') end
  if known[1] and known[2] == replid then return known[1] end
  redis.call('HSET', part, 'life', fresh, 'replid', replid)
  return fresh
end

-- A channel as it is now: begun anew where it was never used, is forgotten (`ttl` after its last publication) or belongs
-- to an earlier life. `link_epoch`, `link_top`: what came before in the same life, so that whoever had all of that
-- knows that nothing is missing.
local function open(part, meta, stream, now, ttl, fresh, durable)
  local life = life_of(part, fresh, durable)
  local m = redis.call('HMGET', meta, 'epoch', 'top', 'at', 'life', 'id', 'link_epoch', 'link_top',
                       'prolonged')
  local same_life = m[1] and m[4] == life
  if same_life and tonumber(m[3]) + ttl > now then
    return {epoch = m[1], top = tonumber(m[2]), at = tonumber(m[3]), id = m[5], link_epoch = m[6], link_top = m[7],
            prolonged = tonumber(m[8] or 0)}
  end
  local it = {epoch = fresh, top = 0, at = now, id = '', link_epoch = '-', link_top = '0', prolonged = 0}
  if same_life then
    it.link_epoch, it.link_top = m[1], m[2]
  end
  redis.call('DEL', stream)
  redis.call('HSET', meta, 'epoch', fresh, 'top', 0, 'at', now, 'life', life, 'id', '',
             'link_epoch', it.link_epoch, 'link_top', it.link_top)
  return it
end

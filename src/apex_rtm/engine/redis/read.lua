-- Where a channel stands, and publications after an offset.
-- KEYS: partition, meta, stream
-- ARGV: now, channel_ttl, fresh epoch, durable, slack, since epoch (* for any), since offset, how many at most,
--       epoch, top and id that the asking node has ('-' 0 '' for none)
-- Returns {epoch, top, id of the last, link_epoch, link_top, {body, at, body, at, ..}, seq of the partition}.
local now, ttl, slack = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local it = open(KEYS[1], KEYS[2], KEYS[3], now, ttl, ARGV[3], ARGV[4] == '1')
local had_top, count = tonumber(ARGV[10]), tonumber(ARGV[8])

-- A server that was restored or rolled back knows less than its clients: the offsets in between are not given again.
local id_there = it.id
if it.epoch == ARGV[9] and it.top > had_top and had_top > 0 then
  local place = ARGV[10] .. '-0'
  local found = redis.call('XRANGE', KEYS[3], place, place)
  id_there = found[1] and found[1][2][6] or ARGV[11]
end
if it.epoch == ARGV[9] and (it.top < had_top or (had_top > 0 and id_there ~= ARGV[11] and ARGV[11] ~= '')) then
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[3], 'top', 0, 'at', now, 'id', '', 'link_epoch', '-', 'link_top', 0)
  it = {epoch = ARGV[3], top = 0, at = now, id = '', link_epoch = '-', link_top = '0', prolonged = 0}
end
-- Nobody forgets a channel's past while somebody follows it: nodes read it again in time (`Scripts.renew_s`). One that
-- was only asked for is kept for an hour, or whoever invents names could fill Redis with them for a day.
local has_past = it.top > 0 or it.link_epoch ~= '-'
redis.call('PEXPIRE', KEYS[2], slack + (has_past and ttl or math.min(ttl, 6 * slack)))

local entries = {}
if count > 0 and (ARGV[6] == '*' or ARGV[6] == it.epoch) then
  local from = string.format('%.0f-0', tonumber(ARGV[7]) + 1)
  for _, found in ipairs(redis.call('XRANGE', KEYS[3], from, '+', 'COUNT', count)) do
    entries[#entries + 1] = found[2][2]
    entries[#entries + 1] = found[2][4]
  end
end
return {it.epoch, it.top, it.id, it.link_epoch, tonumber(it.link_top), entries,
        tonumber(redis.call('HGET', KEYS[1], 'seq') or '0')}

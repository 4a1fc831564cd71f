-- wrk -s load.lua URL -- REQUEST TOKENS START PAUSE: sends the text of file REQUEST again and again, `{token}` in it
-- replaced by the lines of file TOKENS in turn, beginning with number START. With PAUSE above 0 every connection waits
-- about that many milliseconds before each request. Prints one line of JSON.
local head, tail, tokens, at

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  local first, last = text:find("{token}", 1, true)
  head, tail = text:sub(1, first - 1), text:sub(last + 1)
  tokens = {}
  for line in io.lines(args[2]) do tokens[#tokens + 1] = line end
  at = tonumber(args[3]) % #tokens + 1
  local pause = tonumber(args[4])
  -- An exponential wait: requests come at random times, as those of many independent users do.
  if pause > 0 then
    math.randomseed(os.time())
    delay = function() return math.floor(0.5 - math.log(1 - math.random()) * pause) end
  end
end

function request()
  local token = tokens[at]
  at = at % #tokens + 1
  return head .. token .. tail
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.3f,"failed":%d,"refused":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f}\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end

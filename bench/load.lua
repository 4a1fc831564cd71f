-- wrk -s load.lua URL -- REQUEST TOKENS START PAUSE ROUTES: sends the text of file REQUEST again and again. `{token}` in
-- it is replaced by the lines of file TOKENS in turn, beginning with number START; `{route}` by the numbers from 0 up to
-- ROUTES, five digits each. With PAUSE above 0 every connection waits about that many milliseconds before each request.
-- Prints one line of JSON.
local before_route, before_token, tail, tokens, at, routes

local function split(text, mark)
  local first, last = text:find(mark, 1, true)
  if not first then return nil, text end
  return text:sub(1, first - 1), text:sub(last + 1)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  local rest
  before_route, rest = split(text, "{route}")
  before_token, tail = split(rest, "{token}")
  tokens = {}
  for line in io.lines(args[2]) do tokens[#tokens + 1] = line end
  at = tonumber(args[3])
  local pause = tonumber(args[4])
  routes = tonumber(args[5])
  -- An exponential wait: requests come at random times, as those of many independent users do.
  if pause > 0 then
    math.randomseed(os.time())
    delay = function() return math.floor(0.5 - math.log(1 - math.random()) * pause) end
  end
end

function request()
  local token = tokens[at % #tokens + 1]
  local head = before_token
  if before_route then head = before_route .. string.format("%05d", at % routes) .. head end
  at = at + 1
  return head .. token .. tail
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.3f,"failed":%d,"refused":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f}\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end

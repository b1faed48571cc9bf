-- Requests of random keys for wrk: `wrk -s random-keys.lua URL -- PATH-BEFORE-THE-KEY LAST-KEY SEED
-- [PATH-AFTER-THE-KEY]`. Keys are 1 to LAST-KEY. Paths are made ahead, so that the load generator spends its time on sending.

local paths = {}
local at = 0

function init(args)
  math.randomseed(tonumber(args[3]))
  for i = 1, 100000 do
    paths[i] = wrk.format("GET", args[1] .. math.random(tonumber(args[2])) .. (args[4] or ""))
  end
end

function request()
  at = at % #paths + 1
  return paths[at]
end

-- One line that a program can read. wrk counts answers that are neither 2xx nor 3xx as status errors.
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %.0f %.0f %.0f %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end

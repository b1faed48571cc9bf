-- Batches of random keys for wrk: `wrk -s random-batches.lua URL -- PATH LAST-KEY SEED KEYS-A-BATCH COLUMNS ACCEPT`. Keys are 0
-- to LAST-KEY, COLUMNS is a JSON array or `all`. Requests are made ahead, so that the load generator spends its time on sending.

local requests = {}
local at = 0

function init(args)
  math.randomseed(tonumber(args[3]))
  local headers = { ["content-type"] = "application/json", ["accept"] = args[6] }
  local columns = args[5] == "all" and "" or ',"columns":' .. args[5]
  for i = 1, 2000 do
    local keys = {}
    for k = 1, tonumber(args[4]) do
      keys[k] = math.random(0, tonumber(args[2]))
    end
    local body = '{"keys":[' .. table.concat(keys, ",") .. "]" .. columns .. "}"
    requests[i] = wrk.format("POST", args[1], headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

-- One line that a program can read. wrk counts answers that are neither 2xx nor 3xx as status errors.
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %.0f %.0f %.0f %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end

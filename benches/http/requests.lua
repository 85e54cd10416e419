-- What wrk sends: the lines of REQUESTS (a path each) in turn, or one form; and at the end one line of figures.
local paths, at = {}, 0
local token, body = os.getenv("TOKEN"), os.getenv("FORM")
local headers = { ["User-Agent"] = os.getenv("AGENT") or "wrk" }

function setup(thread) thread:set("offset", math.random(0, 1000000)) end

function init()
  if token then headers["Authorization"] = "Bearer " .. token end
  if body then headers["Content-Type"] = "application/x-www-form-urlencoded" end
  for line in io.lines(os.getenv("REQUESTS")) do paths[#paths + 1] = line end
  at = offset % #paths
end

-- Without it, each connection asks again at once.
local pause = tonumber(os.getenv("DELAY") or "")
if pause then
  function delay() return pause end
end

function request()
  at = at % #paths + 1
  return wrk.format(body and "POST" or "GET", paths[at], headers, body)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'FIGURES {"requests": %d, "seconds": %.3f, "bytes": %d, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end

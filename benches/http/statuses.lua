-- The same as requests.lua, and counts the answers of each kind: `OUTCOMES {…}` at the end.
dofile(os.getenv("HERE") .. "/requests.lua")

answered, shed, without_retry, other = 0, 0, 0, 0

function response(status, headers)
  if status == 200 then
    answered = answered + 1
  elseif status == 503 then
    shed = shed + 1
    if not headers["retry-after"] and not headers["Retry-After"] then without_retry = without_retry + 1 end
  else
    other = other + 1
  end
end

local setup_before, done_before, threads = setup, done, {}

function setup(thread)
  setup_before(thread)
  threads[#threads + 1] = thread
end

function done(summary, latency, requests)
  done_before(summary, latency, requests)
  local total = { answered = 0, shed = 0, without_retry = 0, other = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(total) do total[name] = total[name] + thread:get(name) end
  end
  local e = summary.errors
  io.write(string.format('OUTCOMES {"answered": %d, "shed": %d, "without_retry": %d, "other": %d, "broken": %d}\n',
    total.answered, total.shed, total.without_retry, total.other, e.connect + e.read + e.write + e.timeout))
end

-- Health of CaptionJobs, RecModels, Backfills and InterestMaps for Argo CD, by their conditions (kstatus).
local hs = {status = "Progressing", message = "waiting for the operator"}
local status = obj.status
if status == nil or status.conditions == nil then
  return hs
end
if status.observedGeneration ~= obj.metadata.generation then
  hs.message = "waiting for the operator to see the change"
  return hs
end
local found = {}
for _, condition in ipairs(status.conditions) do
  found[condition.type] = condition
end
local function holds(kind)
  return found[kind] ~= nil and found[kind].status == "True"
end
if found["Ready"] ~= nil then
  hs.message = found["Ready"].message
end
if status.rollout ~= nil and status.rollout.phase == "Paused" then
  -- By people, or for them to decide: nothing is broken, stable serves.
  hs.status = "Suspended"
elseif holds("Stalled") then
  hs.status = "Degraded"
elseif holds("Reconciling") then
  hs.status = "Progressing"
elseif holds("Ready") then
  hs.status = "Healthy"
else
  hs.status = "Suspended"
end
return hs

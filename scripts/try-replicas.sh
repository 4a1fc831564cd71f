#!/usr/bin/env bash
# Runs the stack with two replicas as a user would, replaces them one after the other under load, and counts failed calls.
#   scripts/try-replicas.sh
# Needs docker with compose, bash and curl. ENVOY_PORT and IDP_PORT choose other ports than 10000 and 9400.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export ENVOY_PORT=${ENVOY_PORT:-10000} IDP_PORT=${IDP_PORT:-9400}
modern=http://127.0.0.1:$ENVOY_PORT/modern/mcp idp=http://127.0.0.1:$IDP_PORT
compose() { docker compose -f docker-compose.yml -f deploy/replicas/docker-compose.yml "$@"; }
work=$(mktemp -d)
finish() {
  local status=$?
  touch "$work/stop"
  wait
  [ $status = 0 ] || compose logs --no-color --tail 40 >&2 || true
  compose down --volumes --remove-orphans --timeout 30 >&2 || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT

compose build
compose up --detach --wait --wait-timeout 180
token=$(curl -sS --max-time 20 -H 'accept: text/plain' -d grant_type=urn:demo:grant:user -d client_id=demo-cli -d username=alice \
  --data-urlencode "resource=$modern" "$idp/token")
message='{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
message+='"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"try","version":"1"}}}}'
call() {
  curl -s -o /dev/null -w '%{http_code}\n' --max-time 20 -H "authorization: Bearer $token" -H 'content-type: application/json' \
    -H 'accept: application/json, text/event-stream' -H 'mcp-protocol-version: 2026-07-28' -H 'mcp-method: tools/list' \
    --data "$message" "$modern"
}
[ "$(call)" = 200 ] || { echo 'FAILED: the first call' >&2; exit 1; }

for _ in 1 2 3 4; do
  (while [ ! -e "$work/stop" ]; do call || true; done >>"$work/codes") &
done
for replica in identity identity-2; do
  compose restart "$replica" >&2
  compose up --detach --wait --wait-timeout 60 >&2
done
touch "$work/stop"
wait

sort "$work/codes" | uniq -c
[ "$(sort -u "$work/codes")" = 200 ] || { echo 'FAILED: some calls were not answered with 200' >&2; exit 1; }
for replica in identity identity-2; do
  answered=$(compose logs --no-color --no-log-prefix "$replica" | grep -c '"event":"decision"' || true)
  [ "$answered" -gt 0 ] || { echo "FAILED: $replica was asked nothing" >&2; exit 1; }
  echo "$replica: $answered decisions"
done
echo 'each replica was replaced, and no call failed'

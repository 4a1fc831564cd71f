#!/usr/bin/env bash
# Runs docker-compose.yml as a user would and makes checked calls through it.
#   scripts/try-compose.sh           build, start, wait until everything is healthy, check, take down (volumes, too)
#   scripts/try-compose.sh --keep    the same, but leaves it running
#   scripts/try-compose.sh --check   only the checks, against a stack that runs
# Needs docker with compose, bash and curl. ENVOY_PORT, IDP_PORT and TRACKER_PORT choose other ports than 10000, 9400
# and 9403.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export ENVOY_PORT=${ENVOY_PORT:-10000} IDP_PORT=${IDP_PORT:-9400} TRACKER_PORT=${TRACKER_PORT:-9403}
export DEMO_TOKEN_SECONDS=${DEMO_TOKEN_SECONDS:-20}
envoy=http://127.0.0.1:$ENVOY_PORT idp=http://127.0.0.1:$IDP_PORT
modern=$envoy/modern/mcp
tracker=$envoy/tracker/mcp

mode=${1:-}
case $mode in '' | --keep | --check) ;; *) sed -n '2,7p' "$0" >&2; exit 2 ;; esac
answer=$(mktemp -d)
finish() {
  local status=$?
  rm -rf "$answer"
  if [ "$mode" != --check ]; then
    [ $status = 0 ] || docker compose logs --no-color --tail 40 >&2 || true
    [ "$mode" = --keep ] || docker compose down --volumes --remove-orphans --timeout 30 >&2 || true
  fi
  exit $status
}
trap finish EXIT

fail() { echo "FAILED: $*" >&2; cat "$answer/headers" "$answer/body" >&2 2>/dev/null || true; exit 1; }
ok() { echo "ok: $*"; }

# call STATUS [curl arguments…]: one request, whose status must be that; headers and body stay in $answer.
call() {
  local wanted=$1 got; shift
  got=$(curl --silent --show-error --max-time 20 -o "$answer/body" -D "$answer/headers" -w '%{http_code}' "$@") || fail "no answer from ${*: -1}"
  [ "$got" = "$wanted" ] || fail "status $got instead of $wanted for: ${*: -1}"
}
# whoami STATUS [curl arguments…]: the tool that tells what reached the backend, as a client of 2026-07-28 calls it.
whoami() {
  local wanted=$1; shift
  call "$wanted" -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \
    -H 'mcp-protocol-version: 2026-07-28' -H 'mcp-method: tools/call' -H 'mcp-name: whoami' "$@" --data "$message" "$modern"
}
message='{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{},"_meta":{'
message+='"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},'
message+='"io.modelcontextprotocol/clientInfo":{"name":"try-compose","version":"1"}}}}'
# token_for USER RESOURCE: an access token of the identity provider, in $token.
token_for() {
  call 200 -H 'accept: text/plain' -d grant_type=urn:demo:grant:user -d client_id=demo-cli -d "username=$1" \
    --data-urlencode "resource=$2" "$idp/token"
  token=$(cat "$answer/body")
}
# tracked STATUS [curl arguments…]: the same tool of the MCP server that takes the tracker's tokens only; an older client.
tracked() {
  local wanted=$1; shift
  call "$wanted" -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \
    -H 'mcp-protocol-version: 2025-06-18' -H "authorization: Bearer $token" "$@" \
    --data '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}' "$tracker"
}
# fresh_account: the call works, as the account wonderland, with a token that is at most 2 s old.
fresh_account() {
  tracked 200
  holds body 'tracker account: wonderland'
  holds body 'authorization: Bearer ['
  lacks body "$token"
  grep -qE 'token of the tracker: [012] s old' "$answer/body" || fail 'the token is an older one'
  said=$(grep -oE '(tracker account: wonderland|token of the tracker: [0-9]+ s old, good for [0-9]+ s more)' "$answer/body" | paste -sd';' - | sed 's|;|; |')
}
# browse USER URL [disconnect]: a script in place of browser and person; in a container, so that this machine needs no Node.
browse() { docker compose exec -T tracker node deploy/compose/connect.ts "$@" 2>&1 | tee "$answer/body"; }
# soon COMMAND…: for at most 30 s, until the command succeeds.
soon() {
  local end=$((SECONDS + 30))
  until ("$@") 2>"$answer/why"; do
    [ $SECONDS -lt $end ] || { cat "$answer/why" >&2; exit 1; }
    sleep 0.5
  done
}
holds() { grep -qiF -- "$2" "$answer/$1" || fail "no \"$2\" in the $1"; }
lacks() { ! grep -qiF -- "$2" "$answer/$1" || fail "\"$2\" in the $1"; }

if [ "$mode" != --check ]; then
  docker compose build
  docker compose up --detach --wait --wait-timeout 180
fi

whoami 401
metadata=$envoy/.well-known/oauth-protected-resource/modern/mcp
holds headers "www-authenticate: Bearer resource_metadata=\"$metadata\""
lacks headers 'error='
ok '401 without a token, with directions'

call 200 "$metadata"
holds body "\"resource\":\"$modern\""
holds body "\"authorization_servers\":[\"$idp\"]"
ok 'those directions lead to the identity provider'

call 200 "$idp/.well-known/openid-configuration"
holds body "\"issuer\":\"$idp\""
token_for alice "$modern"
ok 'the identity provider gives alice a token for that resource'

whoami 200 -H "authorization: Bearer $token" -H 'x-user-sub: root' -H 'x_user_sub: root' -H 'cookie: a=b'
holds body 'x-user-sub: alice'
holds body 'x-user-email: alice@example.com'
lacks body 'root'
lacks body 'authorization'
lacks body 'cookie'
ok '200 with it: the backend learns x-user-sub: alice, whatever the client claimed, and never sees the token'

whoami 401 -H "authorization: Bearer ${token%?????}AAAAA"
holds headers 'error="invalid_token"'
ok '401 with a changed token'

call 401 -H 'content-type: application/json' -H "authorization: Bearer $token" --data "$message" "$envoy/legacy/mcp"
ok '401 at another MCP server: the token was made for one of them'

token_for alice "$tracker"
[ "$mode" != --check ] || browse alice "$envoy/connect" disconnect # an earlier check may have left it connected
tracked 200
holds body '"isError":true'
link=$(grep -oE "$envoy/connect/tracker\?ticket=[A-Za-z0-9_-]+" "$answer/body") || fail 'no link to connect the account'
ok 'a service where alice has an account, not connected: the tool answers with a link'

! browse bob "$link" || fail 'a link for alice served bob'
holds body 'made for somebody else'
browse alice "$link" || fail 'the account was not connected'
fresh_account
ok "bob gets nowhere with that link; alice signs in, connects, and the same call works: $said"

sleep "$((DEMO_TOKEN_SECONDS + 1))"
fresh_account
ok "that token has expired; the next call has a new one: $said"

if [ "$mode" != --check ]; then
  docker compose restart redis >&2
  sleep "$((DEMO_TOKEN_SECONDS + 1))"
  soon tracked 200
  fresh_account
  ok "Redis restarted, the token expired again: the grant is still there, and refreshed: $said"

  listening=$(docker compose ps --format '{{.Publishers}}' | tr ' ' '\n' | grep -c '0\.0\.0\.0' || true)
  [ "$listening" = 0 ] || fail 'a port is published on every address of the host'
  for setting in 'appendonly yes' 'appendfsync always' 'maxmemory-policy noeviction'; do
    docker compose exec -T redis redis-cli config get "${setting% *}" | tr '\n' ' ' | grep -qF "$setting" || fail "redis: $setting"
  done
  ok 'ports on loopback only; Redis keeps what it acknowledged'

  token_for alice "$modern"
  docker compose stop identity >&2
  code=$(docker inspect --format '{{.State.ExitCode}}' "$(docker compose ps --all --quiet identity)")
  [ "$code" = 0 ] || fail "the service ended with $code"
  whoami 503 -H "authorization: Bearer $token"
  docker compose up --detach --wait --wait-timeout 60 >&2
  whoami 200 -H "authorization: Bearer $token"
  ok 'SIGTERM ends the service with 0; without it 503, never a pass; back again it goes on'

  token_for alice "$tracker"
  tracked 200
  holds body 'tracker account: wonderland'
  ok 'the account is connected still'

  docker compose exec -T redis sh -c 'cat /data/appendonlydir/*' >"$answer/body"
  holds body 'emi:grant:'
  for word in alice wonderland issues:read "$idp"; do lacks body "$word"; done
  docker compose logs --no-color identity >"$answer/body"
  holds body '"event":"connect"'
  holds body '"event":"refresh"'
  for word in 'ticket=' 'state=' 'bearer ' "$token"; do lacks body "$word"; done
  ok 'what Redis has written holds grants, but no name and no token; nor does the log'

  browse alice "$envoy/connect" disconnect || fail 'the account was not disconnected'
  tracked 200
  holds body "$envoy/connect/tracker?ticket="
  ok 'disconnected on the accounts page: a link again'
fi
echo 'everything as it should be'

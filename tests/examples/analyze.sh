#!/usr/bin/env bash
# Findings on one photo, with curl and jq.
#   tests/examples/analyze.sh face.jpg [http://localhost:5000]
# A service with keys wants yours in API_KEY.
set -euo pipefail
photo=${1:?usage: analyze.sh PHOTO [BASE_URL]}
base=${2:-http://localhost:5000}
answer=$(mktemp) headers=$(mktemp)
trap 'rm -f "$answer" "$headers"' EXIT

for attempt in 1 2 3; do
  status=$(curl --silent --show-error --max-time 30 --output "$answer" --dump-header "$headers" \
    --write-out '%{http_code}' ${API_KEY:+--header "X-API-Key: $API_KEY"} --form "image=@$photo" "$base/analyze")
  case $status in 429 | 503) ;; *) break ;; esac
  [ "$attempt" = 3 ] && break
  # Busy, or the model is away: the service says in seconds when to come back.
  sleep "$(tr -d '\r' <"$headers" | awk 'tolower($1) == "retry-after:" { seconds = $2 } END { print seconds + 0 ? seconds : 1 }')"
done

if [ "$status" != 200 ]; then
  exec >&2
  # Every error has this one shape; anything else did not come from the service.
  jq -er '.error | "\(.code): \(.message) \(.hint) (request \(.request_id // empty))"' "$answer" 2>/dev/null ||
    echo "HTTP $status"
  exit 1
fi
jq -r '
  "answered by the \(.source)" + (if .degraded then ", in place of the model: \(.reason)" else "" end),
  "quality \(.quality.score) \(.quality.issues | join(", "))",
  .advice[],
  (.concerns | to_entries[] | "\(.key) \(.value.score // "not judged: \(.value.reason)")"),
  (.concerns.acne | select(.count != null) | "\(.count) lesions, \(.severity)"),
  .notice' "$answer"

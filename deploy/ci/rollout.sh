#!/usr/bin/env bash
# From a commit to a phase: build, scan, preflight, deploy. For any CI, or by hand.
#
#   AWS_PROFILE=shine deploy/ci/rollout.sh simple            # builds the image and deploys it in phase simple
#   deploy/ci/rollout.sh full sha256:…                       # goes on with an image that is in ECR already
#
# Credentials: boto3's standard chain (profile, SSO, OIDC, role). Phase full needs an API key in TRAIL_API_KEY.
# TRAIL_OPTIONS: more options of `trail up`, separated by spaces. Exit code: that of trail (0 done, 2 findings, 3 a gate
# failed, 4 rolled back by ECS, 5 rollback failed, 6 another deployment is in progress, 130 interrupted).
set -euo pipefail
cd "$(dirname "$0")/../.."

goal=${1:?"which phase? simple, hybrid, foundation or full"}
digest=${2:-}
trail=.venv/bin/trail
read -r -a more <<<"${TRAIL_OPTIONS:-}"

make setup
if [ -z "$digest" ]; then
  make setup-image
  audited=0
  .venv/bin/python -m tests.audit || audited=$?
  [ "$audited" = 0 ] || [ "$audited" = 3 ] || exit 2 # 3: nothing found, but the advisories were not reachable
  image=$(.venv/bin/python -m deploy.image.build | tee /dev/stderr | grep -oE '^shine:[^ ]+')
  which=(--image "$image")
else
  which=(--digest "$digest")
fi

"$trail" preflight "${which[@]}" --phase "$goal"
status=0
"$trail" up --to "$goal" "${which[@]}" --yes --plain "${more[@]}" || status=$?
[ "$status" = 0 ] || "$trail" why || true
"$trail" record --markdown >&2 || true
exit "$status"

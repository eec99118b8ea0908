"""How a command of the rollout ends; programs branch on these."""

DONE = 0
FOUND = 2  # preflight found something, or the input cannot be used; nothing was changed
GATE_FAILED = 3  # and what was proven runs again
PLATFORM = 4  # the deployment failed; ECS went back to what ran before
ROLLBACK_FAILED = 5  # somebody has to look now
SOMEBODY_ELSE = 6  # another deployment or another's lock; neither was touched
INTERRUPTED = 130  # what was begun goes on in AWS; `trail resume` picks it up

"""How commands end; programs branch on these."""

FINE = 0
FOUND = 2  # something was found, could not be looked at, or was not confirmed; nothing was changed
GATE_FAILED = 3  # of a rollout; what was proven runs again
PLATFORM = 4  # the deployment failed; ECS went back to what ran before
ROLLBACK_FAILED = 5  # somebody has to look now
SOMEBODY_ELSE = 6  # another deployment or another's lock; neither was touched
INTERRUPTED = 130  # what was begun goes on in AWS; `trail resume` picks it up

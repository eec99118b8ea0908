"""Exit codes of commands; programs branch on these."""

FINE = 0
FOUND = 2  # there is a finding, a check could not be made, or nobody confirmed; nothing was changed
GATE_FAILED = 3  # a gate of a rollout failed; the last proven release runs again
PLATFORM = 4  # the deployment failed; ECS rolled back to what ran before
ROLLBACK_FAILED = 5  # the rollback failed too; a person must act now
SOMEBODY_ELSE = 6  # a concurrent deployment, or a lock that somebody else holds; neither was touched
INTERRUPTED = 130  # what was begun goes on in AWS; `trail resume` continues it

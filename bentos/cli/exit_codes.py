"""Exit codes of `shine`, and those of `trail` that mean the same; programs branch on these."""

DONE = 0
SOME_FAILED = 1  # some photos; their errors are in the output
FAILED = 2  # wrong usage, or nothing could be done
THERE = 3  # the output exists already, or is in use
WEIGHTS = 4  # the weights cannot be used
INTERRUPTED = 130
CLOSED = 141  # the reader of standard output has gone (`shine analyze photos/ | head`): 128 + SIGPIPE

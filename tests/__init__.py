"""Tests. Numeric libraries use one thread a call, as in the service; more would compete on a busy machine."""

import os

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when numpy is first imported, after this
    os.environ.setdefault(pool, "1")
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # hundreds of machine images, at each account anew

"""`python -m deploy` is the command `trail`."""

import sys

from deploy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m deploy`, which is `trail`."""

from deploy.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m bentos.cli` is the command `shine`."""

from bentos.cli.main import main

if __name__ == "__main__":
    main()

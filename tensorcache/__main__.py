"""`python -m tensorcache`: the command line, wherever its script is not on the PATH."""

from tensorcache.cli import main

if __name__ == "__main__":
    main()

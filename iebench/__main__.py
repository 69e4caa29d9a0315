"""Runs the command line as ``python -m iebench``, which torchrun starts."""

from iebench.cli import main

if __name__ == "__main__":
    main()

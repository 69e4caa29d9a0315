"""``python -m iebench``: what torchrun starts."""

from iebench.cli import main

if __name__ == "__main__":
    main()

"""`python -m agents.cli` is `callpulse`."""

from agents.cli import main

if __name__ == "__main__":
    main()

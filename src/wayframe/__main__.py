"""`python -m wayframe`: the same as the `wayframe` command."""

from wayframe.cli import main

if __name__ == "__main__":
    main()

"""`python -m aeexp` is the command `aeexp`."""

from aeexp.cli.train import main

if __name__ == "__main__":
    main()

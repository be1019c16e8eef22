"""`python -m evfer` is the console script."""

import sys

from evfer.cli import main

if __name__ == "__main__":
    sys.exit(main())

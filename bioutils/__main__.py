"""``python -m bioutils``: the command line."""

import sys

from bioutils.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m bioutils.training.electra``."""

import sys

from bioutils.training.electra.commands import main

if __name__ == "__main__":
    sys.exit(main())

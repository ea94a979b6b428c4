"""``python -m bioutils``: the command line."""

import sys

from bioutils.cli import main

sys.exit(main())

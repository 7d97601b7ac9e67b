"""``python -m saddle`` is the command line."""

from saddle.cli import main

main()

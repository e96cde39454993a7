"""`python -m retime` is the command line."""

from retime.cli import main

main()

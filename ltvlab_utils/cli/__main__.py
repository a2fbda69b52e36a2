"""`python -m ltvlab_utils.cli` is `ltvlab`."""

from ltvlab_utils.cli import main

main()

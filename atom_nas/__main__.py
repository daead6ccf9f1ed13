"""`python -m atom_nas`: the same as the command atom-nas."""

from atom_nas.cli import main

main()

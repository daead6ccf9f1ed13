"""Search for the best ConvNet on a distilled proxy: `python run_search.py --proxy atom_ipc50`."""

import sys

from atom_nas.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])

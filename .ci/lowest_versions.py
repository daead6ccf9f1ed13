"""Print the lowest versions that pyproject.toml promises, as constraints of pip."""

import tomllib
from pathlib import Path

path = Path(__file__).parents[1] / "pyproject.toml"
project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"].values()
for requirement in (*project["dependencies"], *(each for extra in extras for each in extra)):
    name, has_bound, lowest = requirement.partition(">=")
    if has_bound:
        print(f"{name.partition('[')[0]}=={lowest}")

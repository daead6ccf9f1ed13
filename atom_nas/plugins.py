"""Plug-ins: one module each, found by name in a package or by path; no registry to edit."""

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from atom_nas.errors import UserError, explain, unknown


def available(package: str) -> dict[str, str]:
    """Return name -> first docstring line of every public module of `package`, importing none."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package
    found = {}
    for module in pkgutil.iter_modules(spec.submodule_search_locations):
        if not module.name.startswith("_"):
            source = Path(spec.submodule_search_locations[0], f"{module.name}.py")
            doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
            found[module.name] = doc.partition("\n")[0]
    return found


_sources: WeakKeyDictionary[ModuleType, bytes] = WeakKeyDictionary()
"""Of each module that was loaded here its file, as it was then."""


def load(package: str, name: str, *, kind: str, needs: tuple[str, ...]) -> ModuleType:
    """Import the plug-in `name` of `package`, or the Python file that `name` is the path of.

    Raises UserError where there is no such module, it does not import, or lacks one of `needs`.
    """
    if name.endswith(".py"):
        module = load_file(Path(name), kind=kind)
    elif name in (known := available(package)):
        module = importlib.import_module(f"{package}.{name}")
        assert module.__file__ is not None
        _sources.setdefault(module, Path(module.__file__).read_bytes())
    else:
        raise unknown(kind, name, known)
    missing = [need for need in needs if not hasattr(module, need)]
    if missing:
        raise UserError(
            f"{kind} {name!r} lacks {', '.join(missing)}; "
            f"a {kind} is a module that defines {', '.join(needs)}."
        )
    return module


def source(module: ModuleType) -> bytes:
    """Return the source of the plug-in `module` as it was loaded, whatever the file is now."""
    return _sources[module]


def source_digest(module: ModuleType) -> str:
    """Return the SHA-256 of the source of the plug-in `module`."""
    return hashlib.sha256(source(module)).hexdigest()


def load_file(path: Path, *, kind: str, code: bytes | None = None) -> ModuleType:
    """Import the Python file at `path`, or `code` in its place; UserError where that cannot be."""
    if code is None:
        if not path.is_file():
            reason = "is no regular file" if path.exists() else "does not exist"
            raise UserError(f"{kind} file {str(path)!r} {reason}; give the path of a .py file.")
        code = path.read_bytes()
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    module_name = f"_atom_nas_plugin_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        exec(compile(code, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise UserError(
            f"{kind} file {str(path)!r} does not import: {explain(error)}; mend it, or install "
            "what it needs."
        ) from error
    _sources[module] = code
    return module

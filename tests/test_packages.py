"""What the code imports is what `pip install` brings: nothing is there only because another package happens to want it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
LATER = {"compression"}  # in the standard library from Python 3.14 on


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[ ;<>=!~\[]", name)[0]).lower()


def imported() -> Iterator[tuple[str, Path]]:
    for path in (ROOT / "proxy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            yield from ((name.partition(".")[0], path) for name in names)


def test_every_package_that_is_imported_is_a_dependency_of_ours():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for key, names in project["optional-dependencies"].items() if key != "dev" for name in names]
    declared = {plain(name) for name in (*project["dependencies"], *extras)}
    known = packages_distributions()
    foreign = {(name, path) for name, path in imported() if name not in sys.stdlib_module_names | LATER | {"proxy"}}
    missing = {(name, path.name) for name, path in foreign if not declared & {plain(each) for each in known.get(name, ())}}
    assert missing == set()
    assert len({name for name, _ in foreign}) > 10

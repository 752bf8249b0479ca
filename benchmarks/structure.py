# SPDX-License-Identifier: Apache-2.0
"""How the source is built, in numbers: what one concept touches, and what a newcomer walks through.

    python benchmarks/structure.py                      prints the figures of this checkout
    python benchmarks/structure.py --root OTHER         of another checkout
    python benchmarks/structure.py --label after --write --durations LOG
                                                        keeps them in structure.json and the page

A room is a source file. A model on its way to C enters a room when a function of another file calls
one in it, each pair of functions counted once; it returns to a room when it was there before.
``LOG`` is what pytest printed with --durations=0.
"""

from __future__ import annotations

import argparse
import ast
import importlib.machinery
import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "structure.json"
PAGE = HERE.parent / "docs" / "structure.md"
LAYERS = ("targets", "compiler", "latency_tables", "nas", "cli", "api")
LONG_FUNCTION = 50
MODEL = "mlperf_tiny/models/kws_int8.tflite"
# What kernels are built from, while it lay beside the back end.
BRICKS = frozenset(
    f"{name}.py"
    for name in (
        "float_math float_program helpers intrinsics kernel mve mve_lower mve_requant patches "
        "render render_float sliding tir tir_nodes views"
    ).split()
)
LEAVES = ("ir.py", "narrow_weights.py", "quantization.py", "requantization.py")


def sources(root: Path) -> dict[str, Path]:
    """Module name -> file, of everything that is packaged."""
    found = {}
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*.py")):
            parts = ("tinytailor", *path.relative_to(root).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def circles(root: Path) -> list[list[str]]:
    """Groups of files that import each other, imports for type checking left out; largest first."""
    modules = sources(root)
    graph = nx.DiGraph()
    for name, path in modules.items():
        for imported in imports(ast.parse(path.read_text())):
            target = next((m for m in (imported, imported.rpartition(".")[0]) if m in modules), "")
            if target and target != name:
                graph.add_edge(name, target)
    groups = (sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1)
    return sorted(groups, key=lambda group: (-len(group), group))


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of what a file imports when it runs."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.dump(tree.test):
        return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        yield from (f"{tree.module}.{alias.name}" for alias in tree.names)
    for child in ast.iter_child_nodes(tree):
        yield from imports(child)


def kinds(folder: Path) -> dict[str, tuple[str, str]]:
    """File -> (kind, class) of every record in ``folder`` that has a name for its kind."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and (kind := kind_of(node)):
                found[f"{path}:{node.name}"] = (kind, node.name)
    return found


def kind_of(node: ast.ClassDef) -> str:
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.value, ast.Constant):
            continue
        if ast.unparse(item).startswith(("kind: ClassVar[str]", "name: ClassVar[str]")):
            return str(item.value.value)
    return ""


def names_in(path: Path, package: str) -> set[str]:
    """What a file imports from ``package``, and its string constants in quotes.

    A kind is a word like "add" or "float", which other things are called too; so strings count in
    the compiler, the tables and the search only, where "float" is a type more often than a kind.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(f"'{node.value}'")
    return found - {"'float'"}


def knowing(
    root: Path, records: dict[str, tuple[str, str]], package: str, own: tuple[str, ...]
) -> dict[str, Any]:
    """Which files outside of the folders ``own`` name a record by its kind or its class."""
    files = {
        path.relative_to(root).as_posix(): names_in(path, package)
        for path in sources(root).values()
        if not path.relative_to(root).as_posix().startswith((*own, "targets/", "cli/"))
    }
    naming = {
        name: sorted(file for file, words in files.items() if words & {name, f"'{kind}'"})
        for kind, name in records.values()
    }
    every = sorted({file for found in naming.values() for file in found})
    most = max(naming.items(), key=lambda item: len(item[1]), default=("", []))
    return {"files": every, "most_named": [most[0], len(most[1])]}


def operators(root: Path) -> dict[str, Any]:
    own = ("compiler/ops/", "compiler/kernels/")
    return knowing(root, kinds(root / "compiler" / "ops"), "tinytailor.compiler.ops", own)


def layer_kinds(root: Path) -> dict[str, Any]:
    """Kinds of layers of a search: records in nas/layers; before them three classes of topology."""
    if (root / "nas" / "layers").is_dir():
        found = kinds(root / "nas" / "layers")
        return knowing(root, found, "tinytailor.nas.layers", ("nas/layers/",))
    old = {name: (name, name) for name in ("ConvLayer", "AddLayer", "PoolLayer")}
    return knowing(root, old, "tinytailor.nas.topology", ())


def lines(root: Path, *folders: str) -> int:
    paths = [path for folder in folders for path in (root / folder).rglob("*.py")]
    return sum(len(path.read_text().splitlines()) for path in paths)


def long_functions(root: Path) -> list[str]:
    found = []
    for path in sources(root).values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > LONG_FUNCTION:
                    found.append(f"{path.relative_to(root)}:{node.name} {length}")
    return sorted(found)


def longest_file(root: Path) -> list[Any]:
    sizes = {p: len(p.read_text().splitlines()) for p in sources(root).values()}
    path = max(sizes, key=lambda p: sizes[p])
    return [path.relative_to(root).as_posix(), sizes[path]]


class Finder:
    """Imports ``tinytailor`` from a checkout that need not be installed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == "tinytailor":
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        head, _, part = name.partition(".")
        if head == "tinytailor" and part in LAYERS:
            folder = self.root / part
            return importlib.util.spec_from_file_location(
                name, folder / "__init__.py", submodule_search_locations=[str(folder)]
            )
        return None


def walk(root: Path, model: Path) -> dict[str, Any]:
    """Rooms that a model enters from its file to a compiled project, and how often it returns."""
    sys.meta_path.insert(0, Finder(root))  # type: ignore[arg-type]
    from tinytailor.compiler import compile_model, load_model
    from tinytailor.targets import load_target

    inside = str(root / "compiler") + os.sep
    seen: set[tuple[Any, Any]] = set()
    rooms: list[str] = []

    def entered(frame: Any, event: str, _: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(inside):
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(inside):
            caller = caller.f_back
        source = caller.f_code if caller is not None else None
        room = frame.f_code.co_filename[len(inside) :]
        if source is not None and source.co_filename == frame.f_code.co_filename:
            return
        pair = (source and (source.co_filename, source.co_qualname), frame.f_code.co_qualname)
        if frame.f_code.co_name != "<module>" and (pair, room) not in seen:
            seen.add((pair, room))
            rooms.append(room)

    target = load_target("nucleo-f446re")
    with tempfile.TemporaryDirectory() as folder:
        sys.setprofile(entered)
        try:
            graph = load_model(model)
            compile_model(graph, target, Path(folder) / "out", "model", model_sha256="0" * 64)
        finally:
            sys.setprofile(None)
    files = [room for room in rooms if room.endswith(".py")]
    return {"all": visits(files), "graph_to_c": visits([r for r in files if on_the_way(r)])}


def on_the_way(room: str) -> bool:
    """Whether a room is neither the front end, nor what single operators and passes are made of,
    nor a record or arithmetic that all of them use."""
    folder, _, name = room.rpartition("/")
    aside = folder.partition("/")[0] in ("frontend", "kernels", "ops", "passes", "quantize")
    return not (aside or name in LEAVES or (folder == "mcu" and name in BRICKS))


def visits(rooms: list[str]) -> dict[str, Any]:
    steps = [room for i, room in enumerate(rooms) if i == 0 or rooms[i - 1] != room]
    entries = {room: steps.count(room) for room in steps}
    most = max(entries, key=lambda room: entries[room])
    return {
        "rooms": len(entries),
        "returns": len(steps) - len(entries),
        "most_entered": [most, entries[most]],
    }


def slowest(log: Path, count: int = 10) -> list[list[Any]]:
    """(seconds, phase, test) of the slowest tests in what pytest printed."""
    found = re.findall(r"^ *([\d.]+)s (call|setup|teardown) +(\S.*)$", log.read_text(), re.M)
    rows = [[float(seconds), phase, test] for seconds, phase, test in found]
    return sorted(rows, reverse=True)[:count]


def figures(root: Path, model: Path | None, log: Path | None) -> dict[str, Any]:
    return {
        "circles": circles(root),
        "operators": operators(root),
        "layer_kinds": layer_kinds(root),
        "source_lines": lines(root, *LAYERS),
        "test_lines": lines(root, "tests"),
        "longest_file": longest_file(root),
        "long_functions": long_functions(root),
        "walk": walk(root, model) if model is not None else None,
        "slowest_tests": slowest(log) if log is not None else None,
    }


HEAD = """\
# What one concept touches

Figures of the source before and after it was cut so that a concept has one place; the search gained
kinds of layers meanwhile, and all of it kits and recipes. `python benchmarks/structure.py` makes
this page and says how each is counted: more and smaller files are more rooms.

| | before | after |
| --- | --- | --- |
"""


def page(kept: dict[str, Any]) -> str:
    """Both columns, the files that are left by name, and the slowest tests."""
    one, two = kept["before"], kept["after"]
    rows = {
        "groups of files that import each other in a circle": lambda f: len(f["circles"]),
        "files in the largest of them": lambda f: max(map(len, f["circles"]), default=0),
        "files that name an operator, besides its own and its kernels": lambda f: len(
            f["operators"]["files"]
        ),
        "the most that name one operator": lambda f: f["operators"]["most_named"][1],
        "files that know a kind of layer, besides its own": lambda f: len(
            f["layer_kinds"]["files"]
        ),
        "rooms of a model from its file to a verified project": lambda f: f["walk"]["all"]["rooms"],
        "returns to a room on that way": lambda f: f["walk"]["all"]["returns"],
        "rooms from the integer graph to C": lambda f: f["walk"]["graph_to_c"]["rooms"],
        "returns on that way": lambda f: f["walk"]["graph_to_c"]["returns"],
        "the room most often entered there": lambda f: "{} ({})".format(
            *f["walk"]["graph_to_c"]["most_entered"]
        ),
        "lines of source": lambda f: f"{f['source_lines']:,}",
        "lines of tests": lambda f: f"{f['test_lines']:,}",
        "the longest file": lambda f: "{} ({} lines)".format(*f["longest_file"]),
        f"functions of more than {LONG_FUNCTION} lines": lambda f: len(f["long_functions"]),
    }
    table = [f"| {name} | {value(one)} | {value(two)} |\n" for name, value in rows.items()]
    parts = [HEAD, *table]
    for title, key in (("an operator", "operators"), ("a kind of layer", "layer_kinds")):
        named = ", ".join(f"`{file}`" for file in two[key]["files"]) or "none"
        parts.append(f"\nFiles that name {title} now: {named}.\n")
    for name, found in (("before", one), ("after", two)):
        if found["slowest_tests"]:
            parts.append(
                f"\n## The slowest tests, {name}\n\n| seconds | | test |\n| --- | --- | --- |\n"
            )
            parts += [f"| {s:.1f} | {phase} | `{t}` |\n" for s, phase, t in found["slowest_tests"]]
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE.parent)
    parser.add_argument("--label", choices=("before", "after"), default="after")
    parser.add_argument("--durations", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    data = Path(os.environ.get("TINYTAILOR_DATA", HERE.parent.parent / "shared" / "data"))
    model = data / MODEL
    if not model.exists():
        print(f"{model} is not there; the walk of a model is left out", file=sys.stderr)
    found = figures(options.root.resolve(), model if model.exists() else None, options.durations)
    print(json.dumps({options.label: found}, indent=1))
    if options.write:
        kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        if options.durations is None:
            found["slowest_tests"] = kept.get(options.label, {}).get("slowest_tests", [])
        kept[options.label] = found
        FIGURES.write_text(json.dumps(kept, indent=1) + "\n")
        if len(kept) == 2:
            PAGE.write_text(page(kept))


if __name__ == "__main__":
    main()

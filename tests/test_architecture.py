"""House rules: layers, a light import, complete docstrings, sizes, safe files."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from inspect import isfunction
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

import retime

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "retime"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
LAYERS = (
    ["core"],
    ["models"],
    ["convert", "simulation", "zoo"],
    ["io", "cells", "circuits", "analysis"],
    ["learn", "sweep", "plots"],
    ["report"],
    ["cli"],
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LATE = {"core/result.py"}  # results find their plot at call time, by name: the one import that goes up
CLASS, FILE = 200, 400  # lines
# What the rules below do not hold for yet. An entry that needs no exception any more fails: take it out.
LONG = set()
PRYING = set()


@cache
def walk(tree):
    """All nodes of a file, listed once."""
    return [*ast.walk(tree)]


def name_of(path):
    return path.relative_to(SOURCE).as_posix()


def layer_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(["retime", *parts[: -1 if parts[-1] == "__init__" else None]])


MODULES = {module_of(path): path for path in FILES}


def imports(tree, late=True):
    """Every module that is imported, inside functions, for types, and (late) by a string too; what a package offers counts as the package."""
    for node in walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [f"{node.module}.{a.name}" for a in node.names]
            yield from (name if name in MODULES or node.module == "retime" else node.module for name in names)
        elif late and isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in DYNAMIC:
            yield from (c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and str(c.value) in MODULES)


DYNAMIC = {"import_module", "__import__", "attach_stub"}


def layer_files():
    return [p for p in FILES if layer_of(p) in LEVEL]


def test_there_are_source_files_in_known_layers():
    assert len(layer_files()) > 30
    assert {layer_of(p) for p in FILES} <= {*LEVEL, "__init__", "__main__"}


@pytest.mark.parametrize("path", layer_files(), ids=name_of)
def test_file_imports_lower_layers_only(path):
    own = layer_of(path)
    for module in imports(TREES[path], late=name_of(path) not in LATE):
        if module.split(".")[0] == "retime":
            if module == "retime" and own == "cli":
                continue  # the command line calls the public names, which the package imports lazily
            other = module.split(".")[1] if "." in module else "retime"
            assert other in LEVEL, f"{name_of(path)} imports {module}, not a layer"
            assert other == own or LEVEL[other] < LEVEL[own], f"{name_of(path)} imports {module}"


def test_imports_by_a_string_are_those_of_the_package_and_of_the_door_to_the_plots():
    names = {p: {getattr(n, "id", getattr(n, "attr", "")) for n in walk(tree)} for p, tree in TREES.items()}
    assert {name_of(p) for p, found in names.items() if DYNAMIC & found} == LATE | {"__init__.py"}
    tree = TREES[SOURCE / "core" / "result.py"]
    assert {*imports(tree)} - {*imports(tree, late=False)} == {"retime.plots"}


def test_modules_import_each_other_in_no_circle():
    index = {name: k for k, name in enumerate(MODULES)}
    graph = np.zeros((len(index), len(index)), dtype=int)
    for name, path in MODULES.items():
        for other in imports(TREES[path], late=name_of(path) not in LATE):
            if other in index and other != name:
                graph[index[name], index[other]] = 1
    assert graph.sum() > 5 * len(index)
    _, labels = connected_components(graph, connection="strong")
    found = {}
    for name, label in zip(index, labels, strict=True):
        found.setdefault(label, []).append(name.removeprefix("retime."))
    assert [names for names in found.values() if len(names) > 1] == []


def test_files_and_classes_are_short():
    def longest(path):
        classes = [n.end_lineno - n.lineno + 1 for n in walk(TREES[path]) if isinstance(n, ast.ClassDef)]
        return len(path.read_text(encoding="utf-8").splitlines()), max(classes, default=0)

    sizes = {name_of(path): longest(path) for path in FILES}
    assert {name for name, (lines, of_class) in sizes.items() if lines > FILE or of_class > CLASS} == set()


def private(tree):
    """Names with a leading underscore that a file takes from another file of ours: imported, or reached through its module."""
    taken = [n for n in walk(tree) if isinstance(n, ast.ImportFrom) and str(n.module).split(".")[0] == "retime"]
    modules = {a.asname or a.name for n in taken for a in n.names if f"{n.module}.{a.name}" in MODULES}
    yield from (a.name for n in taken for a in n.names if a.name.startswith("_"))
    for node in walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield from [node.attr] if node.attr.startswith("_") else []


def test_no_private_name_is_imported():
    assert {name_of(path) for path, tree in TREES.items() if list(private(tree))} == set()


def test_no_module_is_named_like_a_verb_that_it_defines():
    """A package that offers both could not say which one is meant."""
    verbs = {name: getattr(retime, name) for name in retime.__all__ if isfunction(getattr(retime, name))}
    assert len(verbs) > 20
    assert {name for name, verb in verbs.items() if verb.__module__.split(".")[-1] == name} == set()


def test_import_loads_nothing_heavy_and_changes_no_global_state():
    code = """
import sys, warnings, numpy as np
before = (list(warnings.filters), np.geterr(), np.get_printoptions())
import retime
after = (list(warnings.filters), np.geterr(), np.get_printoptions())
heavy = [m for m in ("jax", "numba", "matplotlib", "h5py", "scipy", "torch", "rich", "typer") if m in sys.modules]
print(before == after, heavy)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True []"


def test_public_names_are_those_of_the_stub():
    stub = ast.parse((SOURCE / "__init__.pyi").read_text(encoding="utf-8"))
    names = [a for node in stub.body if isinstance(node, ast.ImportFrom) for a in node.names]
    assert len(names) > 70
    assert [a.name for a in names] == [a.asname for a in names]  # as type checkers want it of names that are public
    assert sorted(a.name for a in names) == sorted(retime.__all__) == dir(retime)


@pytest.mark.parametrize("name", retime.__all__)
def test_public_name_resolves(name):
    assert getattr(retime, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No retime attribute simulat"):
        retime.simulat  # noqa: B018


def definitions(tree, public=True):
    """(qualified name, node) of functions and classes that are public all the way up, not nested in functions."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not (
            public and node.name.startswith("_")
        ):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{n}", x) for n, x in definitions(node, public))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    tree = TREES[path]
    missing = [name for name, node in definitions(tree) if not ast.get_docstring(node)]
    if tree.body:
        missing += [] if ast.get_docstring(tree) else ["the module"]
    assert missing == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_fit_on_a_screen(path):
    long = {}
    for node in walk(TREES[path]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            size = body[-1].end_lineno - body[0].lineno + 1
            if size > 60:
                long[node.name] = size
    assert long == {}


def test_source_has_no_assert_statements():
    assert [name_of(p) for p, tree in TREES.items() if any(isinstance(n, ast.Assert) for n in walk(tree))] == []


def test_files_are_named_for_a_concept():
    vague = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert [name_of(p) for p in FILES if vague & {*p.relative_to(SOURCE).with_suffix("").parts}] == []


def test_only_plots_imports_matplotlib():
    users = {layer_of(p) for p, tree in TREES.items() if any(m.split(".")[0] == "matplotlib" for m in imports(tree))}
    assert users <= {"plots"}


def test_nothing_unpickles():
    for path, tree in TREES.items():
        for node in walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", name_of(path)
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("pickle.load", "pickle.loads", "eval", "exec"), name_of(path)


def test_every_source_cited_is_in_the_bibliography():
    bibliography = ROOT / "docs" / "refs.bib"
    known = set(re.findall(r"^@\w+\{([^,\s]+),", bibliography.read_text(encoding="utf-8"), re.M))
    cited = {}
    for path in FILES:
        for line in re.findall(r"Source: (.*)", path.read_text(encoding="utf-8")):
            cited |= dict.fromkeys(re.findall(r"\b[a-z]+(?:19|20)\d\d[a-z]?\b", line), name_of(path))
    assert len(cited) > 5
    assert {key: where for key, where in cited.items() if key not in known} == {}


def compiled_as(decorator, tree):
    """Functions of a file that are compiled: "kernel", which Python calls, or "subroutine", which kernels call."""
    functions = [node for node in walk(tree) if isinstance(node, ast.FunctionDef)]
    return [f for f in functions if any(ast.unparse(d) == decorator for d in f.decorator_list)]


def test_subroutines_are_called_by_kernels_only():
    """They have no entry for Python: a call from there would end the process."""
    subroutines = {f.name: path for path, tree in TREES.items() for f in compiled_as("subroutine", tree)}
    assert len(subroutines) > 60
    for path, tree in TREES.items():
        compiled = {id(node) for d in ("kernel", "subroutine") for f in compiled_as(d, tree) for node in ast.walk(f)}
        imports = [n for n in walk(tree) if isinstance(n, ast.ImportFrom)]
        imported = {(n.module.rpartition(".")[2], a.name) for n in imports for a in n.names}
        here = {name for name, home in subroutines.items() if home == path or (home.stem, name) in imported}
        loads = [n for n in walk(tree) if isinstance(n, ast.Name) and n.id in here and id(n) not in compiled]
        assert loads == [], f"{name_of(path)} uses {loads[0].id} in line {loads[0].lineno}"
    named = {f"{path.stem}.{name}" for name, path in subroutines.items()}
    for path in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        found = named & set(re.findall(r"\b\w+\.\w+\b(?!\.py_func)", path.read_text(encoding="utf-8")))
        assert not found, f"{path.relative_to(ROOT)} names {found}"


def test_kernels_are_called_by_python():
    """One that only kernels call is a subroutine: it would be compiled twice."""
    for path, tree in TREES.items():
        for f in compiled_as("kernel", tree):
            assert not f.name.startswith("_"), f"{name_of(path)}: {f.name} should be a subroutine, or public"


def bases(tree):
    """The library of each class that a file derives from one that it imports."""
    homes = {}
    for node in walk(tree):
        if isinstance(node, ast.Import):
            homes |= {(a.asname or a.name).split(".")[0]: a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            homes |= {a.asname or a.name: str(node.module).split(".")[0] for a in node.names}
    names = [
        ast.unparse(base).split(".")[0].split("[")[0]
        for n in walk(tree)
        if isinstance(n, ast.ClassDef)
        for base in n.bases
    ]
    return {homes[name] for name in names if name in homes}


def test_libraries_whose_classes_are_overridden_have_an_upper_bound():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    overridden = {home for tree in TREES.values() for home in bases(tree)} - sys.stdlib_module_names - {"retime"}
    assert overridden == {"diffrax", "highspy", "numba"}
    bounded = {line.split(">=")[0] for line in wanted if ",<" in line}
    assert bounded == overridden | {"equinox"}  # what Diffrax's classes are made of


KINDS = {
    "PiecewiseAffineSystem",
    "SwitchedSystem",
    "SmoothSystem",
    "LinearSystem",
    "PiecewiseAffineFlow",
    "RegionwiseMap",
}
KINDS |= {"DerivedSystem", "Discrete", "Continuous"}
ASKED = {  # how often the kind of a system is asked outside simulation/motion.py, models/ and io/, and why
    "analysis/basins/dynamics.py": (
        1,
        "the horizon of a map is a number of steps, that of a flow a time measured by its rate",
    ),
    "analysis/branches/grid.py": (1, "orbits of maps are read for periods, those of flows for rest"),
    "analysis/branches/scanning.py": (1, "a refusal: cycles are followed of maps"),
    "analysis/exponents/lyapunov.py": (1, "growth by step matrices, by saltation, or by a solver"),
    "analysis/view.py": (1, "whether one step of the form is one of the system"),
    "convert/commuting.py": (2, "linear results are compared by their matrices; a linear system needs no condition"),
    "convert/continuous.py": (2, "a refusal; Euler's method undone of a linear map is certified by its response"),
    "convert/discrete.py": (1, "a flow with another clock begins its auxiliary states at 0 anew"),
}


def questions_of_kind(tree):
    """isinstance of a kind of system or of time, and flags that say whether something is a map."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            if KINDS & set(re.findall(r"\w+", ast.unparse(node.args[1]))):
                yield ast.unparse(node)
        elif isinstance(node, ast.Attribute) and node.attr in ("is_map", "is_stepped"):
            yield ast.unparse(node)


def disguised(tree):
    """The same question put to the step of a time base: `time.step is None`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and re.search(r"\b(time|self)\.step is (not )?None", ast.unparse(node)):
            yield ast.unparse(node)


def test_the_kind_of_a_system_is_asked_in_one_place():
    """Verbs ask the motion (simulation/motion.py) and the time base; what a conversion does with a family, a table says."""
    counted = [p for p in FILES if layer_of(p) in ("convert", "simulation", "analysis", "plots", "cli")]
    found = {name_of(p): len(list(questions_of_kind(TREES[p]))) for p in counted}
    found.pop("simulation/motion.py")
    assert {name: count for name, count in found.items() if count} == {
        name: count for name, (count, _) in ASKED.items()
    }


DISGUISED = {"analysis": 2, "cli": 3, "learn": 0}  # at most so many per layer; each that goes lowers its number


def test_the_kind_of_time_is_not_asked_by_its_step():
    found = {}
    for path, tree in TREES.items():
        if layer_of(path) not in ("core", "models", "io"):
            found[layer_of(path)] = found.get(layer_of(path), 0) + len(list(disguised(tree)))
    assert {layer: count for layer, count in found.items() if count > DISGUISED.get(layer, 0)} == {}

"""The stubs say what the native module has, and the module's own help says what the stubs say."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ottla._native
import ottla.aio
import pytest
from support import PATIENCE

# What has a docstring in a stub.
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

type_statement = re.compile(r"(?m)^type (?=\w+ = )")


def test_the_stubs_are_complete(tmp_path: Path) -> None:
    # mypy finds the package by itself, in site-packages as well as by PYTHONPATH. MYPYPATH would
    # make the packages beside it the user's own, which mypy refuses where they shadow its own.
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "ottla"],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("stub", "module"), [("_native", ottla._native), ("aio", ottla.aio)])
def test_help_says_what_the_stubs_say(stub: str, module: object) -> None:
    wrong: list[str] = []
    for name, node in classes(stub):
        kind = getattr(module, name)
        documented: dict[str, tuple[object, Documented]] = {name: (kind, node)}
        # What `help` shows of a special method is Python's own.
        named = (each for each in functions(node) if not each.name.startswith("__"))
        for function in named:
            shown = getattr(kind, function.name)
            documented.setdefault(f"{name}.{function.name}", (shown, function))
        for place, (shown, of) in documented.items():
            said = ast.get_docstring(of)
            if said is not None and inspect.getdoc(shown) != said:
                wrong.append(f"{place}: {inspect.getdoc(shown)!r} is not {said!r}")
    assert not wrong, "\n".join(wrong)


def test_both_kinds_of_clients_take_the_same_arguments() -> None:
    loops = dict(classes("aio"))
    # Those that wait for one thing otherwise: a thread gives the call its limit, a task is awaited.
    others = {"__await__", "__aiter__", "__anext__", "__aenter__", "__aexit__", "connect"}
    others |= {"__iter__", "__next__", "__enter__", "__exit__", "send_and_wait"}
    for name, node in classes("_native"):
        if name not in ("Producer", "Consumer", "Admin"):
            continue
        threads, loop = signatures(node), signatures(loops[name])
        wanted = {method for method in threads if method not in others}
        assert wanted == {method for method in loop if method not in others}, name
        for method in wanted:
            assert threads[method] == loop[method], f"{name}.{method}"


def classes(stub: str) -> Iterator[tuple[str, ast.ClassDef]]:
    path = Path(ottla.__file__).parent / f"{stub}.pyi"
    # The statement is younger than the oldest Python here.
    tree = ast.parse(type_statement.sub("", path.read_text()))
    return ((node.name, node) for node in tree.body if isinstance(node, ast.ClassDef))


def functions(node: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (each for each in node.body if isinstance(each, kinds))


def signatures(node: ast.ClassDef) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for function in functions(node):
        found.setdefault(function.name, []).append(ast.unparse(function.args))
    return found

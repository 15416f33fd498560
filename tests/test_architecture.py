"""What keeps the package small, quick to start, and its parts apart."""

import ast
import functools
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

import ftctl

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "ftctl"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Top-level module: the folders and files under src/ftctl that may import it, at any depth.
OWNERS = {
    "torch": ("local_backend/", "providers/huggingface/train.py"),  # a script for elsewhere
    "peft": ("local_backend/", "providers/huggingface/train.py"),
    "accelerate": ("local_backend/",),
    "safetensors": ("local_backend/",),
    "genai_prices": ("catalog/market.py",),
    "gguf": ("local_backend/",),
    "transformers": ("local_backend/", "datasets/render.py", "providers/huggingface/train.py"),
    "sklearn": ("evaluation/baselines.py",),
    "sqlalchemy": ("store/",),
    "starlette": ("server/",),
    "uvicorn": ("server/",),
    "openai": ("providers/openai/connection.py", "providers/openai/chat.py"),
    "mistralai": ("providers/mistral",),
    "huggingface_hub": ("providers/huggingface", "local_backend/"),
    "together": ("providers/together/driver.py",),
    "fireworks": ("providers/fireworks/driver.py",),
}
POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog", "posix"}
POSIX_NAMES = {
    "os": {"setsid", "killpg", "getpgrp", "getpgid", "setpgid", "fork", "geteuid", "getuid"},
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGALRM"},
}
HEAVY = {*OWNERS, "datasets", "httpx", "httpx2", "jsonschema", "msgspec", "numpy", "pydantic"}
HEAVY |= {"rich", "tokenizers"}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(node: ast.AST) -> Iterator[str]:
    """Full names of the modules that this statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below that runs when the module is imported: not what stands in functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from child.decorator_list
            yield from child.args.defaults
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from run_at_import(other)
        elif not isinstance(child, ast.Lambda):
            yield child
            yield from run_at_import(child)


def test_files_and_functions_stay_short() -> None:
    long = []
    for path in SOURCES:
        place = path.relative_to(PACKAGE)
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines >= 400:
            long.append(f"{place} has {lines} lines")
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > 60:
                    long.append(f"{place}: {node.name} has {lines} lines")
    assert not long


def test_a_file_is_named_for_what_it_is() -> None:
    nothing = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}
    places = [str(path.relative_to(PACKAGE).with_suffix("")) for path in SOURCES]
    assert not [place for place in places if nothing & set(re.split(r"[_/.]", place))]


def test_a_library_is_imported_only_where_it_is_owned() -> None:
    strays = []
    for path in SOURCES:
        place = path.relative_to(PACKAGE).as_posix()
        tree = parsed(path)
        # Names for a type checker cost nothing and tie nothing together at run time.
        checking = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            for name in imports(node) if node not in checking else ():
                owners = OWNERS.get(name.split(".")[0])
                if owners is not None and not place.startswith(owners):
                    strays.append(f"{place} imports {name}")
    assert not strays


def test_nothing_posix_only_runs_at_import() -> None:
    found = []
    for path in SOURCES:
        place = path.relative_to(PACKAGE)
        local = path.is_relative_to(PACKAGE / "local_backend")
        tree = parsed(path)
        # The local backend may use them in functions; all others where it goes without them, too.
        guarded = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.Try)
            and any(ast.unparse(h.type or node) == "ImportError" for h in node.handlers)
            for part in node.body
            for inner in ast.walk(part)
        }
        everywhere = [node for node in ast.walk(tree) if node not in guarded]
        for node in run_at_import(tree) if local else everywhere:
            line = f"{place}:{getattr(node, 'lineno', 0)}"
            if {name.split(".")[0] for name in imports(node)} & POSIX_MODULES:
                found.append(line)
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.attr in POSIX_NAMES.get(node.value.id, ())
            ):
                found.append(line)
    assert not found


@pytest.mark.medium
def test_everything_imports_where_the_posix_modules_are_not() -> None:
    modules = [info.name for info in pkgutil.walk_packages(ftctl.__path__, "ftctl.")]
    code = (
        "import importlib, signal, os, sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(POSIX_MODULES - {'posix'})!r}))\n"
        "del signal.SIGKILL, os.setsid, os.killpg, os.getpgrp\n"
        f"for name in {[m for m in modules if not m.endswith('__main__')]!r}:\n"
        "    importlib.import_module(name)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_owners_table_names_real_places() -> None:
    written = {"torch", "peft", "accelerate", "transformers", "sklearn", "sqlalchemy"}
    for library in written:
        for owner in OWNERS[library]:
            assert (PACKAGE / owner).exists(), owner


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from ftctl.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as ended:\n    code = ended.code\n"
        "print(code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code_printed, *modules = ran.stdout.splitlines()[-1].split()
    assert code_printed == "0"
    assert "click" in modules
    assert not HEAVY & set(modules)


def test_importing_the_package_loads_nothing_but_itself() -> None:
    code = (
        "import sys; before = set(sys.modules); import ftctl; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "ftctl" in loaded
    assert loaded - {"ftctl"} <= set(sys.stdlib_module_names)


@pytest.fixture(scope="module")
def after_all_imports() -> dict[str, tuple[bool, str]]:
    """Each public name in a fresh process: is it the same after every submodule was imported?"""
    modules = [info.name for info in pkgutil.walk_packages(ftctl.__path__, "ftctl.")]
    code = (
        "import importlib, ftctl\n"
        "first = {name: getattr(ftctl, name) for name in ftctl.__all__}\n"
        f"for name in {[m for m in modules if not m.endswith('__main__')]!r}:\n"
        "    importlib.import_module(name)\n"
        "for name, value in first.items():\n"
        "    print(name, getattr(ftctl, name) is value, type(getattr(ftctl, name)).__name__)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines()]
    return {name: (same == "True", kind) for name, same, kind in rows}


@pytest.mark.medium
@pytest.mark.parametrize("name", ftctl.__all__)
def test_a_public_name_stays_what_it_was(
    name: str, after_all_imports: dict[str, tuple[bool, str]]
) -> None:
    same, kind = after_all_imports[name]
    assert same
    assert kind != "module"


@pytest.mark.parametrize("name", ftctl.__all__)
def test_no_module_is_named_like_a_public_name(name: str) -> None:
    # `import ftctl.submit` would replace the function `ftctl.submit` by the module.
    assert not (PACKAGE / f"{name}.py").exists()
    assert not (PACKAGE / name).is_dir()
    assert not isinstance(getattr(ftctl, name), type(importlib))


def test_the_wheel_holds_one_top_level_package() -> None:
    # A top-level `datasets` would shadow Hugging Face's for everything that imports it.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["src/ftctl"]
    found = {path.name for path in (ROOT / "src").iterdir() if not path.name.startswith(".")}
    assert found - {"ftctl.egg-info"} == {"ftctl"}


def tracked_text() -> Iterator[tuple[str, str]]:
    """Every text file that git tracks, with what it says."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.exists():  # deleted but not yet committed
            yield name, path.read_text(encoding="utf-8", errors="replace")


def test_no_tracked_file_knows_a_machine_or_a_registry() -> None:
    machine = [rf"(?<![\w.~<])/{top}/\w" for top in ("root", "work", "opt", "tmp/w")]
    registries = [f"{host}\\.org" for host in ("pypi", "files.pythonhosted", "download.pytorch")]
    forbidden = re.compile("|".join(machine + registries))
    found = [
        f"{name}: {match[0]}"
        for name, text in tracked_text()
        for match in forbidden.finditer(text)
        if name != "tests/test_architecture.py"
    ]
    assert not found


def test_relative_links_in_the_documents_resolve() -> None:
    documents = [name for name, _ in tracked_text() if name.endswith(".md")]
    assert "README.md" in documents
    broken = []
    for name in documents:
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S)):
            file = unquote(target.partition("#")[0])
            if "://" in target or target.startswith("mailto:") or not file:
                continue
            if not ((ROOT / name).parent / file).exists():
                broken.append(f"{name}: {target}")
    assert not broken

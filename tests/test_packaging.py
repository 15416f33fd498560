"""The wheel, alone in an empty environment, on the lowest and the highest Python it promises."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import ftctl

pytestmark = [pytest.mark.slow, pytest.mark.real]

ROOT = Path(__file__).resolve().parent.parent
# Taken before a fixture cleans it: pip needs the machine's own index, proxy and certificates.
MACHINE = {name: value for name, value in os.environ.items() if not name.startswith("FTCTL_")}
MACHINE_HOME = Path.home()
LOWEST, HIGHEST = "3.11", "3.13"
AS_OF = "2026-11-24"


def run(command: list[str | Path], cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in MACHINE.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(
        command,
        cwd=cwd,
        env=kept | {"FTCTL_HOME": str(cwd / "home")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == code, f"{command} said {ran.returncode}:\n{ran.stdout}\n{ran.stderr}"
    return ran


def find_python(version: str) -> str | None:
    """An interpreter of this version that really starts: a shim may be there without one."""
    pyenv = sorted((MACHINE_HOME / ".pyenv" / "versions").glob(f"{version}*/bin/python"))
    for candidate in (sys.executable, shutil.which(f"python{version}"), *map(str, pyenv)):
        if candidate is None:
            continue
        tell = "import sys; print('%d.%d' % sys.version_info[:2])"
        ran = subprocess.run(
            [candidate, "-c", tell], check=False, capture_output=True, text=True, env=MACHINE
        )
        if ran.stdout.strip() == version:
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT], cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module", params=[LOWEST, HIGHEST])
def empty(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bin folder of an environment that holds the wheel and what it requires."""
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"Python {request.param} isn't on this machine")
    venv = tmp_path_factory.mktemp("alone") / "venv"
    run([python, "-m", "venv", venv], cwd=venv.parent)
    pip: list[str | Path] = [venv / "bin" / "python", "-m", "pip", "install", "-q"]
    run([*pip, "-c", ROOT / "constraints.txt", wheel], cwd=venv.parent)
    return venv / "bin"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is {n} plus {n}?"},
                {"role": "assistant", "content": str(2 * n)},
            ]
        }
        for n in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_wheel_holds_the_package_its_data_and_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    information = f"ftctl-{ftctl.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"ftctl", information}
    assert f"{information}/licenses/LICENSE" in names
    assert "ftctl/py.typed" in names
    here = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "ftctl").rglob("*.toml")
    }
    assert here
    assert here <= set(names)


@pytest.mark.timeout(600)  # the first one waits for the environment
def test_it_says_its_version(empty: Path, tmp_path: Path) -> None:
    said = run([empty / "ftctl", "--version"], cwd=tmp_path).stdout
    assert said.split() == ["ftctl,", "version", ftctl.__version__]


@pytest.mark.timeout(600)
def test_it_checks_data(empty: Path, tmp_path: Path, dataset: Path) -> None:
    ran = run([empty / "ftctl", "data", "check", dataset, "--json"], cwd=tmp_path)
    document = json.loads(ran.stdout)
    assert (document["ok"], document["examples"]) == (True, 12)


@pytest.mark.timeout(600)
def test_it_advises(empty: Path, tmp_path: Path) -> None:
    facts = ["--baseline-score", "0.9", "--target-score", "0.85", "--prompt-meets-quality", "true"]
    ran = run([empty / "ftctl", "advise", "--json", "--as-of", AS_OF, *facts], cwd=tmp_path)
    document = json.loads(ran.stdout)
    assert document["schema"] == "ftctl.advice/1"
    assert document["decision"] in ("none", "prompt")


@pytest.mark.timeout(600)
def test_it_knows_providers_and_models(empty: Path, tmp_path: Path) -> None:
    for noun in ("providers", "models"):
        said = run([empty / "ftctl", noun, "--as-of", AS_OF, "--json"], cwd=tmp_path).stdout
        assert "2026" in said
        json.loads(said)
    assert '"mistral"' in run([empty / "ftctl", "providers", "--json"], cwd=tmp_path).stdout


@pytest.mark.timeout(600)
def test_a_missing_extra_is_one_line_with_the_command_that_adds_it(
    empty: Path, tmp_path: Path, dataset: Path
) -> None:
    model = "smollm2-135m-instruct"
    submit = ["submit", "--provider", "local", "--model", model, "--data", str(dataset)]
    for words in (["chat", model, "hi"], submit):
        ran = run([empty / "ftctl", *words], cwd=tmp_path, code=3)
        assert "pip install 'ftctl[local]'" in ran.stderr
        assert "Traceback" not in ran.stderr
        assert ran.stdout == ""


@pytest.mark.timeout(600)
def test_the_doctor_says_what_is_missing(empty: Path, tmp_path: Path) -> None:
    ran = run([empty / "ftctl", "doctor", "--json"], cwd=tmp_path)
    found = {(f["area"], f["name"]): f for f in json.loads(ran.stdout)["findings"]}
    assert found["extra", "local"]["fix"] == "pip install 'ftctl[local]'"
    assert found["training", "devices"]["status"] == "missing"


@pytest.mark.timeout(600)
def test_every_public_name_is_there_without_an_extra(empty: Path, tmp_path: Path) -> None:
    code = "import ftctl; print(*(name for name in ftctl.__all__ if getattr(ftctl, name)))"
    said = run([empty / "python", "-c", code], cwd=tmp_path).stdout
    assert said.split() == list(ftctl.__all__)

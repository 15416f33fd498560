"""The example that authors of providers copy: it keeps the contract, and people can use it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "provider"
KEY = "acme-key-0123456789"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that says of the example what pip would, had it installed it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    dist = tmp_path / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = ["[ftctl.providers]"]
    lines += [f"{k} = {v}" for k, v in project["entry-points"]["ftctl.providers"].items()]
    (dist / "entry_points.txt").write_text("\n".join(lines))
    return dist.parent


@pytest.mark.medium
@pytest.mark.timeout(900)  # a hundred tests in one process
def test_the_example_keeps_the_contract(site: Path) -> None:
    quiet = ["-p", "no:cacheprovider", "-p", "no:randomly"]
    path = os.pathsep.join([str(site), str(EXAMPLE)])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, str(EXAMPLE)],
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout


def test_a_job_goes_there_from_the_command_line(
    cli: Cli, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.syspath_prepend(str(site))
    from acme_vendor import AcmeVendor

    data = write_chats(tmp_path / "train.jsonl")
    with AcmeVendor(KEY) as acme:
        where = ("--provider", "acme", "--base-url", acme.base_url)
        what = ("--data", data, "--model", "acme-small", "--set", "epochs=2", "--json")
        asked = ("submit", *where, *what)
        ran = cli(*asked)
        assert ran.returncode == 3, ran.stderr
        assert ran.json()["error"]["hint"] == "ftctl config set-key acme"
        assert cli("config", "set-key", "acme", stdin=KEY).returncode == 0

        ran = cli(*asked)
        assert ran.returncode == 0, ran.stderr
        job = ran.json()
        assert cli(*asked).json()["id"] == job["id"]
        ((remote_id, made),) = acme.jobs.items()
        assert (made["label"], made["model"], made["epochs"]) == (job["marker"], "acme-small", 2.0)
        assert list(acme.datasets.values()) == [data.read_bytes()]

        acme.move(remote_id, "done")
        ran = cli("watch", job["id"], "--every", "0.05", "--quiet")
        assert ran.returncode == 0, ran.stderr
        assert (
            cli("job", job["id"], "--json").json()["fine_tuned_model"] == f"acme-small-{remote_id}"
        )

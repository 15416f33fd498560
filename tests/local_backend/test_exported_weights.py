"""`ftctl export` to a merged model, a GGUF file and Ollama: the same model, or nothing is kept."""

import json
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import Cli, Ran
from finished_jobs import finished_job, unfinished_job
from gguf_models import CHATML, TEXTS, write_family, write_rows

from ftctl.local_backend.chat import load_model
from ftctl.local_backend.output import is_whole

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen 2 in bf16, so that merging has something to round."""
    return write_family(
        tmp_path_factory.mktemp("bases") / "qwen2", "qwen2", CHATML, "qwen2", dtype="bfloat16"
    )


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl")


@pytest.fixture
def job(base: Path, rows: Path) -> str:
    return finished_job(base, rows)


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("out")]


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    for word in words:
        assert word in ran.stderr


def test_a_merged_folder_answers_like_the_adapter(
    cli: Cli, base: Path, job: str, rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = cli("export", job, "--to", "merged", "-o", out, "--json")
    assert ran.returncode == 0, ran.stderr
    assert "nats a token apart" in ran.stderr
    done = ran.json()
    found = done["verified"]["candidates"]["original"]
    assert done["verified"]["data"] == "rows.jsonl"
    assert 0 < found["kl"] < done["verified"]["tolerance"] == 0.02
    assert found["prompts"] == len(TEXTS)
    assert json.loads((out / "merge.json").read_bytes())["schema"] == "ftctl.merge/1"
    assert is_whole(out)
    # The training system prompt stays with the weights.
    assert json.loads((out / "run.json").read_bytes())["system_prompts"]["share"] == 1.0
    messages = [{"role": "user", "content": TEXTS[0]}]
    home = tmp_path / "ftctl-home"
    adapter = home / "runs" / job / "output"
    answers = [load_model(f, home).chat(messages, max_new_tokens=4) for f in (out, adapter)]
    assert answers[0] == answers[1]
    again = cli("export", job, "--to", "merged", "-o", out, "--json")
    assert again.json() == done
    assert left_over(tmp_path) == ["out"]
    (out / "mine").write_text("x", "utf-8")
    refused(cli("export", job, "--to", "merged", "-o", out), 2, "holds something else")


def test_a_merge_that_is_another_model_is_not_kept(cli: Cli, job: str, tmp_path: Path) -> None:
    asked = ("export", job, "--to", "merged", "-o", tmp_path / "out", "--max-kl", "1e-12")
    refused(cli(*asked), 1, "the merged model isn't the same model", "1e-12 nats", "--to peft")
    assert left_over(tmp_path) == []


def test_the_validation_file_is_asked_before_the_training_file(
    cli: Cli, base: Path, rows: Path, tmp_path: Path
) -> None:
    held_out = tmp_path / "held-out.jsonl"
    held_out.write_text("".join(rows.read_text("utf-8").splitlines(keepends=True)[:3]), "utf-8")
    job = finished_job(base, rows, validation=held_out)
    ran = cli("export", job, "--to", "merged", "-o", tmp_path / "out", "--json")
    assert ran.json()["verified"]["data"] == "held-out.jsonl"
    assert ran.json()["verified"]["candidates"]["original"]["prompts"] == 3


def test_a_gguf_file(cli: Cli, job: str, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    ran = cli("export", job, "--to", "gguf:q8_0", "-o", out, "--json")
    assert ran.returncode == 0, ran.stderr
    done = ran.json()
    assert done["files"] == ["out.gguf"]
    assert 0 < done["verified"]["gguf"]["kl"] < 0.02
    assert done["verified"]["merge"]["into"] == "original"
    made = out.stat().st_mtime_ns
    assert cli("export", job, "--to", "gguf:q8_0", "-o", out).returncode == 0
    assert out.stat().st_mtime_ns == made
    refused(cli("export", job, "--to", "gguf:bf16", "-o", out), 2, "holds something else")
    assert left_over(tmp_path) == ["out.gguf"]


def test_a_folder_for_ollama(cli: Cli, job: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()  # an empty one may be there
    for _ in range(2):
        ran = cli("export", job, "--to", "ollama", "-o", tmp_path / "out", "--json")
        assert ran.returncode == 0, ran.stderr
    assert set(ran.json()["files"]) == {"Modelfile", "manifest.json", "model.gguf", "ollama.json"}
    assert ran.json()["verified"]["gguf"]["kl"] == 0  # bf16, as the weights are
    text = (tmp_path / "out" / "Modelfile").read_text("utf-8")
    assert 'SYSTEM """Be brief."""' in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert left_over(tmp_path) == ["out"]


def test_full_fine_tuning_has_a_model_and_no_adapter(
    cli: Cli, base: Path, rows: Path, tmp_path: Path
) -> None:
    job = finished_job(base, rows, tuning="full")
    refused(
        cli("export", job, "--to", "peft", "-o", tmp_path / "x"), 3, "no adapter", "--to merged"
    )
    ran = cli("export", job, "--to", "merged", "-o", tmp_path / "out", "--json")
    assert ran.returncode == 0, ran.stderr
    assert "model.safetensors" in ran.json()["files"]
    assert ran.json()["verified"] is None
    assert cli("export", job, "--to", "gguf", "-o", tmp_path / "out.gguf").returncode == 0


@pytest.mark.parametrize("to", ["gguf", "ollama"])
def test_an_architecture_that_can_not_be_written_is_refused_before_the_work(
    cli: Cli, rows: Path, tmp_path: Path, to: str
) -> None:
    other = write_family(tmp_path / "neox", "gpt_neox")
    job = finished_job(other, rows)
    ran = cli("export", job, "--to", to, "-o", tmp_path / "out")
    refused(ran, 3, "gpt_neox can't be written as GGUF here; these can: gemma2", "--to merged")
    assert "merging" not in ran.stderr
    assert left_over(tmp_path) == []


def test_an_unfinished_job_has_nothing_to_export(
    cli: Cli, base: Path, rows: Path, tmp_path: Path
) -> None:
    job = unfinished_job(base, rows)
    for to in ("merged", "gguf", "ollama"):
        refused(cli("export", job.id, "--to", to, "-o", tmp_path / "out"), 1)
    assert left_over(tmp_path) == []


def test_without_data_nothing_can_be_compared(
    cli: Cli, job: str, rows: Path, tmp_path: Path
) -> None:
    rows.unlink()
    ran = cli("export", job, "--to", "merged", "-o", tmp_path / "out")
    refused(ran, 2, "the job's data isn't there any more", "put the file back")
    rows.write_text('{"messages": []}\nnonsense\n', "utf-8")
    ran = cli("export", job, "--to", "merged", "-o", tmp_path / "out")
    refused(ran, 1, "no conversation in it to compare models with")
    assert left_over(tmp_path) == []


def test_a_place_that_can_not_be_written_to(cli: Cli, job: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    ran = cli("export", job, "--to", "merged", "-o", tmp_path / "file" / "out")
    refused(ran, 1, "could not be written", "nothing is kept")


def test_a_full_disk_leaves_nothing(job: str, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The weights of the base are larger; the store and the adapter aren't.
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    words = ["export", job, "--to", "gguf", "-o", str(tmp_path / "out")]
    try:
        full = subprocess.run(
            [sys.executable, "-m", "ftctl.cli", *words], capture_output=True, text=True, check=False
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    refused(Ran(full.stdout, full.stderr, full.returncode), 1, "File too large", "free space")
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "gguf:f8", "-o", "x"), "f16, bf16, q8_0"),
        (("--to", "merged:f16", "-o", "x"), "unknown target"),
        (("--to", "gguf"), "needs a place"),
        (("--to", "peft", "-o", "x", "--max-kl", "1"), "--max-kl is about merged"),
        (("--to", "merged", "-o", "x", "--max-kl", "0"), "--max-kl"),
    ],
)
def test_what_is_put_wrongly(cli: Cli, job: str, words: tuple[str, ...], said: str) -> None:
    refused(cli("export", job, *words), 2, said)


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes isn't installed")
def test_what_four_bits_cost_is_measured_and_the_better_kept(
    cli: Cli, base: Path, rows: Path, tmp_path: Path
) -> None:
    job = finished_job(base, rows, tuning="qlora")
    ran = cli("export", job, "--to", "merged", "-o", tmp_path / "out", "--json")
    assert ran.returncode == 0, ran.stderr
    for into in ("original", "dequantised"):
        assert f"into the {into} base: " in ran.stderr
    found = ran.json()["verified"]
    costs = {into: row["kl"] for into, row in found["candidates"].items()}
    assert found["into"] == "dequantised"
    # Into the base as it was, the adapter meets other weights than it was trained on.
    assert costs["original"] > 10 * costs["dequantised"]
    assert left_over(tmp_path) == ["out"]

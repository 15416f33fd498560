"""Datasets that another trainer has tokenized, as `save_to_disk` writes them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tiny_model import write_model

from ftctl.datasets.render import load_tokenizer
from ftctl.datasets.show.pick import pick
from ftctl.datasets.show.prepared import find_prepared, prepared_rows
from ftctl.datasets.show.tokens import Look
from ftctl.datasets.show.types import Broken
from ftctl.errors import UsageError

pytestmark = pytest.mark.medium


def save(folder: Path, *shards: dict[str, Any]) -> Path:
    """The files that `datasets.Dataset.save_to_disk` leaves, a stream a shard."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05}-of-{len(shards):05}.arrow" for i in range(len(shards))]
    for name, columns in zip(names, shards, strict=True):
        table = pa.table(columns)
        with pa.ipc.new_stream(str(folder / name), table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def seen(folder: Path, look: Look, line: int | None = None, count: int = 100) -> list[Any]:
    return list(pick(prepared_rows(folder, line or 1, look), folder, line=line, count=count))


def columns(*rows: tuple[list[int], list[int]]) -> dict[str, Any]:
    ids, labels = zip(*rows, strict=True)
    return {
        "input_ids": pa.array(ids, pa.list_(pa.int32())),
        "attention_mask": pa.array([[1] * len(row) for row in ids], pa.list_(pa.int8())),
        "labels": pa.array(labels, pa.list_(pa.int64())),
    }


def test_labels_of_minus_100_are_red_and_the_rest_green(tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny")
    tokenizer = load_tokenizer(model)
    asked = tokenizer("<|im_start|>user\nhi<|im_end|>", add_special_tokens=False)["input_ids"]
    answer = tokenizer("blue<|im_end|>", add_special_tokens=False)["input_ids"]
    row = (asked + answer, [-100] * len(asked) + answer)
    folder = save(tmp_path / "last_run_prepared" / "0a1b", columns(row))
    (shown,) = seen(find_prepared(folder.parent), Look(tokenizer))
    texts = {
        kind: "".join(token.text for token in shown.tokens if token.kind == kind)
        for kind in ("trained", "untrained")
    }
    assert texts == {"trained": "blue<|im_end|>", "untrained": "<|im_start|>user\nhi<|im_end|>"}
    assert (shown.line, shown.trained_tokens) == (1, len(answer))


def test_rows_count_on_through_batches_and_files(tmp_path: Path) -> None:
    rows = [([i, i + 1], [-100, i + 1]) for i in range(10)]
    folder = save(tmp_path / "set", columns(*rows[:5]), columns(*rows[5:]))
    assert [item.tokens[0].id for item in seen(folder, Look())] == list(range(10))
    (first, second) = seen(folder, Look(), line=8, count=2)
    assert [(item.line, item.tokens[0].text) for item in (first, second)] == [(8, "7 "), (9, "8 ")]
    with pytest.raises(UsageError, match="no line 11"):
        seen(folder, Look(), line=11)


def test_a_row_whose_labels_do_not_fit_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path / "set", columns(([1, 2], [-100]), ([1, 2], [-100, 2])))
    broken, good = seen(folder, Look())
    assert isinstance(broken, Broken)
    assert broken.message == "2 input_ids, but 1 labels"
    assert good.line == 2


def test_a_label_that_nothing_predicts_is_told(tmp_path: Path) -> None:
    (shown,) = seen(save(tmp_path / "set", columns(([1, 2], [1, 2]))), Look())
    assert "nothing stands before it" in shown.remarks[0]


def test_folders_of_something_else_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prepared dataset"):
        find_prepared(tmp_path)
    save(tmp_path / "two" / "train", columns(([1], [1])))
    save(tmp_path / "two" / "test", columns(([1], [1])))
    with pytest.raises(UsageError, match="2 datasets are in it: test, train"):
        find_prepared(tmp_path / "two")
    plain = save(tmp_path / "plain", {"text": ["a"]})
    with pytest.raises(UsageError, match="no column input_ids or labels"):
        seen(plain, Look())


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path / "set", columns(*[([1, 2], [1, 2])] * 50))
    (file,) = folder.glob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UsageError, match="may be cut off"):
        seen(folder, Look())
    file.write_bytes(b"no arrow at all")
    with pytest.raises(UsageError, match="may be cut off"):
        seen(folder, Look())


def test_a_state_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    save(tmp_path / "other", columns(([7], [7])))
    folder = save(tmp_path / "set", columns(([1], [1])))
    name = next((tmp_path / "other").glob("*.arrow")).name
    state = {"_data_files": [{"filename": f"../other/{name}"}]}
    (folder / "state.json").write_text(json.dumps(state))
    assert seen(folder, Look())[0].tokens[0].id == 1

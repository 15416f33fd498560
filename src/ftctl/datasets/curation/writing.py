"""Rows as each tool reads them, so that people can label them and they come back.

Every record carries the row itself, as JSON text, and its id: what a tool does to the texts that
it shows, or to the order, can't hurt them.

Source: what argilla 2.8.0, lilac 0.3.9, pigeonxt-jupyter 0.7.3 and label-studio-sdk 2.1.2 write and
read; run 2026-11.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from ftctl.datasets.curation.ask import Ask
from ftctl.datasets.curation.types import ID, ROW
from ftctl.datasets.curation.view import ANSWER, PREFERENCE, View
from ftctl.datasets.rules.types import JsonObject
from ftctl.datasets.write import unwritable
from ftctl.errors import ExtraMissing, UsageError

_AGENT = "ftctl"  # who suggests what a row says already


def write_argilla(out: Path, views: Iterable[View], asked: Sequence[Ask]) -> str:
    """The folder that `rg.Dataset.from_disk` reads."""
    records = [_argilla_record(view, asked) for view in views]
    shown = dict.fromkeys(name for record in records for name in _fields(record))
    settings: JsonObject = {
        "guidelines": None,
        "questions": [_argilla_question(ask) for ask in asked],
        "fields": [_argilla_part(name, {"type": "text", "use_markdown": False}) for name in shown],
        "vectors": [],
        "metadata": [],
        "allow_extra_metadata": False,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
        "mapping": None,
    }
    dataset: JsonObject = {
        "id": None,
        "inserted_at": None,
        "updated_at": None,
        "name": re.sub(r"[^A-Za-z0-9_-]+", "-", out.name).strip("-_") or "rows",
        "status": "draft",
        "guidelines": None,
        "allow_extra_metadata": False,
        "distribution": settings["distribution"],
        "workspace_id": None,
        "last_activity_at": None,
    }
    files = {".argilla/settings.json": settings, ".argilla/dataset.json": dataset}
    _write(
        out,
        {
            **{name: json.dumps(value) for name, value in files.items()},
            "records.json": json.dumps(records),
        },
    )
    return f'rg.Dataset.from_disk("{out}", client=rg.Argilla(api_url=…, api_key=…))'


def _fields(record: JsonObject) -> Iterable[str]:
    fields = record["fields"]
    return fields if isinstance(fields, dict) else ()


def _argilla_record(view: View, asked: Sequence[Ask]) -> JsonObject:
    suggested = view.texts.get("response")
    suggestions = {
        ask.name: {"value": suggested, "score": None, "agent": _AGENT}
        for ask in asked
        if ask.name == ANSWER and suggested and (not ask.options or suggested in ask.options)
    }
    return {
        "id": view.id,
        "fields": {**view.texts, ROW: view.row},
        "metadata": {},
        "suggestions": suggestions,
        "responses": {},
        "vectors": {},
        "status": "pending",
        "_server_id": None,
    }


def _argilla_question(ask: Ask) -> JsonObject:
    if not ask.options:
        return _argilla_part(ask.name, {"type": "text", "use_markdown": False})
    options = [{"text": option, "value": option} for option in ask.options]
    chosen: JsonObject = {"type": "label_selection", "options": options, "visible_options": None}
    return _argilla_part(ask.name, chosen)


def _argilla_part(name: str, settings: JsonObject) -> JsonObject:
    return {
        "id": None,
        "inserted_at": None,
        "updated_at": None,
        "name": name,
        "settings": settings,
        "title": "the row itself, leave it" if name == ROW else name,
        "description": None,
        "required": name != "response",
        "dataset_id": None,
        "type": settings["type"],
    }


def write_lilac(out: Path, views: Iterable[View], asked: Sequence[Ask]) -> str:
    """A Parquet file for Lilac's Parquet source.

    Raises:
        ExtraMissing: pyarrow isn't installed.
        UsageError: a text is asked for; Lilac puts labels on rows.
    """
    for ask in asked:
        if not ask.options and ask.name != ANSWER:
            hint = f"--ask {ask.name}=yes,no"
            raise UsageError("Lilac puts labels on rows and asks for no text", hint=hint)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ExtraMissing("arrow", "writing Parquet for Lilac") from None
    rows = [{ID: view.id, **view.texts, ROW: view.row} for view in views]
    try:
        pq.write_table(pa.Table.from_pylist(rows), out)
    except OSError as error:
        raise unwritable(out, error) from None
    labels = ", ".join(option for ask in asked for option in ask.options)
    return f'll.ParquetSource(filepaths=["{out}"]); label rows with: {labels or "labels of yours"}'


def write_pigeonxt(out: Path, views: Iterable[View], asked: Sequence[Ask]) -> str:
    """A CSV file for pandas, with a column `example` that holds what is shown.

    Raises:
        UsageError: more than one thing is asked, which PigeonXT can't.
    """
    if len(asked) > 1:
        raise UsageError(
            "PigeonXT asks one thing at a time", hint="one --ask; write a file for each"
        )
    ask = asked[0]
    text = io.StringIO()
    # Every cell in quotes: else Python leaves a bare carriage return outside of them.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    # Free text begins with what is there; a choice is blanked by every run.
    begun = not ask.options
    writer.writerow([ID, "example", ROW, *([ask.name] if begun else [])])
    for view in views:
        start = [view.texts.get("response", "")] if begun else []
        writer.writerow([view.id, _as_one(view), view.row, *start])
    _write(out.parent, {out.name: text.getvalue()})
    kind = f"options={list(ask.options)!r}" if ask.options else 'task_type="captioning"'
    frame = f'pd.read_csv("{out}", keep_default_na=False)'  # "NA" and "null" are texts, too
    return f'annotate({frame}, {kind}, value_column="{ask.name}", id_column="{ID}")'


def _as_one(view: View) -> str:
    if list(view.texts) == ["prompt", "response"] and not view.texts["response"]:
        return view.texts["prompt"]
    return "\n\n".join(f"[{name}]\n{text}" for name, text in view.texts.items())


def write_label_studio(out: Path, views: Iterable[View], asked: Sequence[Ask]) -> str:
    """Tasks as JSON, and beside them the labelling interface that goes with them.

    Raises:
        UsageError: there is a file where the interface would go.
    """
    views = list(views)
    shown = list(dict.fromkeys(name for view in views for name in view.texts))
    tasks = [_task(view, asked) for view in views]
    config = out.with_name(f"{out.stem}.config.xml")
    if config.exists():
        raise UsageError(f"{config} exists already", hint="name another file with -o")
    _write(out.parent, {out.name: json.dumps(tasks, indent=1), config.name: _config(shown, asked)})
    return f"make a project with the labelling interface of {config}, then import {out}"


def _task(view: View, asked: Sequence[Ask]) -> JsonObject:
    task: JsonObject = {"data": {ID: view.id, **view.texts, ROW: view.row}}
    suggested = view.texts.get("response")
    results = [
        _result(ask, suggested)
        for ask in asked
        if ask.name == ANSWER and suggested and (not ask.options or suggested in ask.options)
    ]
    if results:
        task["predictions"] = [{"model_version": _AGENT, "result": results}]
    return task


def _result(ask: Ask, text: str) -> JsonObject:
    kind, key = ("choices", "choices") if ask.options else ("textarea", "text")
    return {"from_name": ask.name, "to_name": "show_prompt", "type": kind, "value": {key: [text]}}


def _config(shown: Sequence[str], asked: Sequence[Ask]) -> str:
    lines = ["<View>"]
    for name in shown:
        lines.append(f"  <Header value={quoteattr(name)}/>")
        lines.append(f'  <Text name="show_{name}" value="${name}"/>')
    for ask in asked:
        lines.append(f"  <Header value={quoteattr(ask.name)}/>")
        if ask == Ask(PREFERENCE, ("left", "right")) and "left" in shown:
            lines.append(f'  <Pairwise name="{ask.name}" toName="show_left,show_right"/>')
        elif ask.options:
            lines.append(f'  <Choices name="{ask.name}" toName="show_prompt" choice="single">')
            lines += [f"    <Choice value={quoteattr(option)}/>" for option in ask.options]
            lines.append("  </Choices>")
        else:
            lines.append(f'  <TextArea name="{ask.name}" toName="show_prompt" maxSubmissions="1"/>')
    return "\n".join([*lines, "</View>", ""])


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder."""
    for name, text in files.items():
        file = folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise unwritable(file, error) from None

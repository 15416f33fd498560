"""Label a file that `ftctl data export --to lilac` wrote, with Lilac's own package.

`python lilac_session.py FILE LABELS OUT`, in Lilac's environment. As soon as a label exists, Lilac
needs a part of DuckDB that it downloads; so each label's file is put aside until the others are
made.
"""

import json
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import lilac as ll
from lilac.sources.parquet_source import ParquetSource


def main() -> None:
    """Make the dataset, put labels on rows, and copy its folder."""
    file, labels, out = map(Path, sys.argv[1:])
    project, aside = out / "project", out / "aside"
    aside.mkdir(parents=True)
    ll.set_project_dir(str(project))
    source = ParquetSource(filepaths=[str(file)])
    dataset = ll.create_dataset(ll.DatasetConfig(namespace="local", name="rows", source=source))
    folder = project / "datasets" / "local" / "rows"
    ids = {
        row["ftctl_id"]: row["__rowid__"] for row in dataset.select_rows(["ftctl_id", "__rowid__"])
    }
    rows = defaultdict(list)
    for label in json.loads(labels.read_text()):
        rows[label["value"]].append(ids[label["id"]])
    for name, row_ids in rows.items():
        assert dataset.add_labels(name, row_ids=row_ids) == len(row_ids)
        made = folder / f"{name}.labels.sqlite"
        shutil.move(made, aside / made.name)
    shutil.copytree(folder, out / "rows")
    for made in aside.iterdir():
        shutil.copy(made, out / "rows" / made.name)
    manifest = json.loads((out / "rows" / "manifest.json").read_text())
    manifest["source"]["filepaths"] = ["rows.parquet"]  # it was a folder of this machine
    (out / "rows" / "manifest.json").write_text(json.dumps(manifest, indent=2))
    shutil.rmtree(project)
    shutil.rmtree(aside)


main()

"""A job's data and settings as Axolotl's configuration file."""

from ftctl.api.export_request import Exported, Exporting
from ftctl.api.exported_file import write_file, write_rows, wrote
from ftctl.catalog.load import load_catalog
from ftctl.errors import Unsupported
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.engines.axolotl_config import Wanted, config_of, not_carried, written

_HEAD = "# Written by ftctl from {job}. Run it with: axolotl train THIS_FILE\n"


def write_axolotl_yaml(asked: Exporting) -> Exported:
    """The job's settings in Axolotl's words; rows that it can't read are written beside them.

    Raises:
        Unsupported: the model's weights aren't published, or the method isn't known there.
        DataInvalid: a row can't be said in Axolotl's format.
    """
    assert asked.out is not None  # noqa: S101 - `export` has seen to it
    spec = asked.spec
    if spec.method == "rft":
        raise Unsupported("Axolotl has no counterpart of a job by rft", hint="sft and dpo have one")
    train = write_rows(asked, spec.data, "train", "axolotl")
    watched = spec.validation and write_rows(asked, spec.validation, "validation", "axolotl")
    wanted = Wanted(
        base=open_base(asked, "Axolotl"),
        method=spec.method,
        tuning=spec.tuning,
        settings=spec.hyperparameters,
        options=spec.options,
        data=train,
        validation=watched,
    )
    text = _HEAD.format(job=asked.job.id)
    left = not_carried(wanted)
    if left:
        said = f"no key of Axolotl's says {', '.join(left)}"
        text += f"# Not in it: {said}.\n"
        asked.tell(f"{said}: not in it")
    write_file(asked.out, (text + written(config_of(wanted))).encode())
    return wrote(asked, (train, watched))


def open_base(asked: Exporting, who: str) -> str:
    """The base by a name that other programs know: a hub id, or a folder here.

    Raises:
        Unsupported: its weights aren't published.
    """
    model = asked.spec.model
    row = load_catalog().find_model(model)
    if row is None:
        return model
    if not row.open_weights:
        raise Unsupported(
            f"{who} can't tune {model}: its weights aren't published", hint="ftctl models"
        )
    return row.hub_id or str(find_base(model, asked.settings.home))

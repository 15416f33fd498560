"""`ftctl export`: a job's result in another shape, or at a hub."""

from pathlib import Path

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output, counted
from ftctl.errors import UsageError


@make_command("export", short_help="Write a tuned model in another shape, or send it to a hub.")
@click.argument("job_id", metavar="ID")
@click.option(
    "--to",
    required=True,
    metavar="TARGET",
    help="peft, merged, gguf[:FORMAT], ollama[:FORMAT], axolotl-yaml, autotrain-yaml, "
    "mistral-finetune-yaml or hub:ORG/NAME.",
)
@click.option(
    "-o", "--out", "place", metavar="PATH", type=click.Path(path_type=Path), help="What to write."
)
@click.option("--public", is_flag=True, help="Let everybody read what is sent to a hub.")
@click.option(
    "--max-kl",
    type=click.FloatRange(0, min_open=True),
    metavar="NATS",
    help="How far merged weights may be from the trained ones, a token; 0.02 when left out.",
)
@click.option("--model", metavar="M", help="The base of a mistral-finetune checkpoint.")
def command(
    out: Output,
    job_id: str,
    *,
    to: str,
    place: Path | None,
    public: bool,
    max_kl: float | None,
    model: str | None,
) -> None:
    """Write a job's result in another shape, or send it to a hub; the same again does no harm.

    `peft` is the adapter folder. `merged` is one model of base and adapter, `gguf` the same as a
    file for llama.cpp (f16, bf16 or q8_0), `ollama` that file and a Modelfile with the same chat
    template. Each is asked prompts of the job's validation or training file before it is kept, and
    refused when it answers otherwise than the adapter did on its base. `axolotl-yaml`,
    `autotrain-yaml` and `mistral-finetune-yaml` are the job's data and settings as those tools
    read them; `hub:ORG/NAME` sends adapter and card to a repository, a private one unless
    `--public`. Instead of a job, the folder of a mistral-finetune checkpoint becomes a PEFT folder.
    A model whose rows must stay inside is sent nowhere.

    Example: ftctl export job-7f3k2m9xab --to hub:my-org/my-adapter
    """
    from ftctl.api.exporting import export

    folder = Path(job_id).expanduser()
    if (folder / "lora.safetensors").is_file():
        from ftctl.api.importing import import_mistral_adapter

        done = import_mistral_adapter(folder, to, place, model=model)
    elif model is not None:
        raise UsageError("--model is about a checkpoint of mistral-finetune", hint="leave it out")
    else:
        done = export(job_id, to, place, public=public, max_kl=max_kl, on_step=out.note)
    if out.json:
        out.document({"schema": "ftctl.export/1", **done.model_dump(mode="json")})
        return
    out.line(done.place)
    note = f"{counted(len(done.files), 'file')}, {counted(done.bytes, 'byte')}"
    out.note(note if done.commit is None else f"{note}, commit {done.commit}")

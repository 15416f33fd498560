"""Speaks the command line, the output and the folders of Axolotl 0.19.0, as they were measured.

`python axolotl_stand_in.py FOLDER` writes it there as the command `axolotl`. Where `FOLDER` has a
file `behaviour`, its words say what goes wrong: `fails`, `no-memory`, `slow`.
"""

import stat
import sys
from pathlib import Path

_SCRIPT = r"""
import json, os, pathlib, sys, time
import yaml
from safetensors.numpy import save_file
import numpy as np

here = pathlib.Path(__file__).resolve().parent
behaviour = (here / "behaviour").read_text() if (here / "behaviour").exists() else ""
command, config, *more = sys.argv[1:]
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([command, *more]) + "\n")
keys = yaml.safe_load(open(config))
out = pathlib.Path(keys["output_dir"])
(here / "pid").write_text(str(os.getpid()))
print("[2026-11-29 09:51:29,160] [INFO] [axolotl.cli] config:\n{\n  \"base_model\": \"x\"\n}")
if command == "preprocess":
    pathlib.Path(keys["dataset_prepared_path"]).mkdir()
    print("Tokenizing Prompts (num_proc=2): 100%|##########| 24/24 [00:00<00:00, 96.96 examples/s]")
elif command == "train":
    assert more == ["--launcher", "python"], more
    begun = max([int(p.name.split("-")[1]) for p in out.glob("checkpoint-*")], default=0)
    total, tokens = keys["max_steps"], 0
    for step in range(begun + 1, total + 1):
        tokens += 40
        print(f"\r {100 * step // total}%|###   | {step}/{total} [00:01<00:01,  2.09it/s]", end="")
        row = {"loss": f"{7 - step / 10:.4g}", "grad_norm": "5.2", "learning_rate": "0.001",
               "tokens/trainable": tokens, "tokens/total": tokens * 9, "epoch": f"{step / 3:.4g}"}
        if keys.get("rl") == "dpo":
            del row["tokens/trainable"], row["tokens/total"]
            row |= {"num_tokens": str(tokens * 3)}
            row |= {"rewards/margins": "0.5", "rewards/accuracies": "1"}
        print("\r" + " " * 45 + str(row), flush=True)
        if step == 3 and "fails" in behaviour:
            sys.exit("Traceback (most recent call last):\nValueError: no such thing")
        if step == 3 and "no-memory" in behaviour:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        if step % keys.get("save_steps", total) == 0 or step == total:
            if "test_datasets" in keys:
                print("\r100%|####| 12/12 [00:00<00:00, 96.1it/s]", end="")
                print("\r" + str({"eval_loss": "4.5", "eval_runtime": "0.2", "epoch": "1"}))
            place = out / f"checkpoint-{step}"
            place.mkdir(parents=True)
            state = {"global_step": step, "max_steps": total, "best_global_step": 2}
            (place / "trainer_state.json").write_text(json.dumps(state))
        if "slow" in behaviour and step >= 4:
            time.sleep(600)
    save_file({"w": np.zeros(1, "float32")}, out / "adapter_model.safetensors")
    (out / "adapter_config.json").write_text(json.dumps({"r": keys["lora_r"]}))
    (out / "tokenizer.json").write_text("{}")
    print("[axolotl.train] Model successfully saved to", out)
elif command == "inference":
    line = "=" * 80
    print(line + "\nGive me an instruction (Ctrl + D to submit): \n" + line)
    asked = sys.stdin.read()
    print(line + "\n<user>" + asked + "<answer>red\n" + line + "\n<user>" + asked + "<answer>red")
    print(line + "\nGive me an instruction (Ctrl + D to submit): \n" + line)
    if "mute" in behaviour:
        sys.exit(1)
"""


def write_stand_in(folder: Path) -> Path:
    """The command `axolotl` in a folder for the path."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "axolotl"
    command.write_text(f"#!{sys.executable}\n{_SCRIPT}", encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return command


if __name__ == "__main__":
    write_stand_in(Path(sys.argv[1]))

"""`--near` and the scan of `ftctl data check` on what was planted for them to find.

    python benchmarks/near.py [--size MB] [--rounds 5] [--pairs 2000] [--secrets 200]

Texts are what Python's library and the packages beside it say of themselves, each once. Copies
are planted of which a share of the words is another: here and there, or in one run. Rows that
were found before anything was planted are left out of recall and precision. Secrets and personal
data are made up, each kind right by its own rule (prefix, length, checksum), and planted into
sentences of real text.
"""

import argparse
import ast
import collections
import datetime
import itertools
import json
import os
import platform
import random
import resource
import site
import statistics
import string
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ftctl
from ftctl.datasets.check import check
from ftctl.datasets.scan import scan_text

NEAR = (
    "import sys; from pathlib import Path; from ftctl.datasets.near import near_findings\n"
    "for number, _ in near_findings(Path(sys.argv[1])): print(number)\n"
)
CHECK = (
    "import sys; from pathlib import Path; from ftctl.datasets.check import check\n"
    "check([Path(sys.argv[1])], near=True, scan=False, tokens=False, duplicates=False)\n"
)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2)
UNLIKE = 0.5  # share of words that makes another text of it
LEAST_WORDS = 30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=float, default=30, help="Of real text, in MB.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=2000, help="Of each kind of edit.")
    parser.add_argument("--secrets", type=int, default=200, help="Of each kind.")
    given = parser.parse_args()
    texts = list(real_texts(int(given.size * 10**6)))
    today = datetime.datetime.now(tz=datetime.UTC).date()
    print(
        f"{today}, ftctl {ftctl.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {len(texts):,} texts"
    )
    with tempfile.TemporaryDirectory(dir=os.environ.get("FTCTL_BENCH_DIR")) as folder:
        measure_near(Path(folder), texts, given.rounds, given.pairs)
    measure_scan(texts, given.secrets)


def real_texts(size: int) -> Iterator[str]:
    """Docstrings, each once."""
    seen: set[str] = set()
    folders = [sysconfig.get_path("stdlib"), *site.getsitepackages()]
    for file in sorted(file for folder in folders for file in Path(folder).rglob("*.py")):
        try:
            tree = ast.parse(file.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module):
                text = (ast.get_docstring(node) or "").strip()
                if len(text) > 100 and text not in seen:
                    seen.add(text)
                    size -= len(text) + 120
                    yield text
        if size < 0:
            return


def edited(rng: random.Random, text: str, share: float, words: list[str], *, run: bool) -> str:
    """The text with a share of its words changed: in one run, or here and there."""
    new = text.split()
    count = max(1, round(share * len(new)))
    start = rng.randrange(len(new) - count + 1)
    places = range(start, start + count) if run else rng.sample(range(len(new)), count)
    for place in places:
        new[place] = rng.choice(words)
    return " ".join(new)


def measure_near(folder: Path, texts: list[str], rounds: int, pairs: int) -> None:
    """Speed, and what is found of planted copies."""
    rng = random.Random(0)  # noqa: S311 - no secret depends on it
    real = write(folder / "real.jsonl", texts)
    before = found_in(real)
    print(f"near-duplicates in the real text: {len(before):,} of {len(texts):,}")
    words = [word for text in texts[:5000] for word in text.split()]
    fit = [text for text in texts if len(text.split()) >= LEAST_WORDS]
    kinds = [(share, run) for share in SHARES for run in (False, True)]
    planted: list[tuple[tuple[float, bool], str]] = []
    for kind in [*kinds, (UNLIKE, False)]:
        chosen = rng.sample(fit, min(pairs, len(fit)))
        planted += [(kind, edited(rng, text, kind[0], words, run=kind[1])) for text in chosen]
    file = write(folder / "planted.jsonl", [*texts, *(text for _, text in planted)])
    found = {number for number in found_in(file) if number > len(texts)}
    told: dict[tuple[float, bool], list[bool]] = collections.defaultdict(list)
    for number, (kind, _) in enumerate(planted, len(texts) + 1):
        told[kind].append(number in found)
    for share, run in kinds:
        how = "in one run" if run else "here and there"
        print(f"recall, {share:.0%} of the words {how}: {statistics.mean(told[share, run]):.3f}")
    false = sum(told[UNLIKE, False])
    print(
        f"precision: {1 - false / len(found):.3f} ({false} found of {len(told[UNLIKE, False])} "
        f"with {UNLIKE:.0%} of the words changed)"
    )
    for name, program in (("near_findings", NEAR), ("check with --near, no more", CHECK)):
        speeds = [speed_of([sys.executable, "-c", program, str(file)], file) for _ in range(rounds)]
        wall, processor = (sorted(column) for column in zip(*speeds, strict=True))
        print(
            f"{name}: {statistics.median(wall):.1f} MB/s by the clock ({wall[0]:.1f} to "
            f"{wall[-1]:.1f}), {statistics.median(processor):.1f} of processor time (asked: 15)"
        )


def write(file: Path, texts: list[str]) -> Path:
    """A row a text."""
    with file.open("w", encoding="utf-8") as out:
        for text in texts:
            messages = [
                {"role": "user", "content": "Go on."},
                {"role": "assistant", "content": text},
            ]
            out.write(json.dumps({"messages": messages}) + "\n")
    return file


def found_in(file: Path) -> set[int]:
    """The lines that are near-duplicates."""
    report = check([file], max_errors=10**9, near=True, scan=False, tokens=False)
    return {
        issue.line
        for issue in report.issues
        if issue.rule in ("near-duplicate", "duplicate-example")
    }


def speed_of(command: list[str], file: Path) -> tuple[float, float]:
    """MB a second by the clock and of processor time, all processes together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = file.stat().st_size / 1e6
    return size / wall, size / processor


def measure_scan(texts: list[str], count: int) -> None:
    """What the scan finds of planted secrets, by kind, and in text without any."""
    rng = random.Random(1)  # noqa: S311
    clean = [text for text in texts if not scan_text(text)]
    other: collections.Counter[str] = collections.Counter()
    for text in texts:
        other.update(hit.kind for hit in scan_text(text))
    for kind, make in MAKERS.items():
        found = as_another = 0
        for _ in range(count):
            words = rng.choice(clean).split(" ")
            made = make(rng)
            place = rng.randrange(len(words) + 1)
            text = " ".join([*words[:place], rng.choice(AROUND).format(made), *words[place:]])
            kinds = {hit.kind for hit in scan_text(text)}
            found += kind in kinds
            as_another += kind not in kinds and bool(kinds)
        print(f"{kind}: recall {found / count:.3f}, told as another kind {as_another / count:.3f}")
    print(f"in {len(texts):,} real texts: {dict(other)}")


AROUND = ("{}", "{},", "({})", "'{}'", '"{}".', "{};", "`{}`", "<{}>")
ALNUM = string.ascii_letters + string.digits


def _of(rng: random.Random, letters: str, count: int) -> str:
    return "".join(rng.choices(letters, k=count))


def _card(rng: random.Random) -> str:
    start, size = rng.choice((("4", 16), ("51", 16), ("37", 15), ("6011", 16), ("2221", 16)))
    digits = start + _of(rng, string.digits, size - len(start) - 1)
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        doubled = digit if place % 2 else 2 * digit
        total += doubled - 9 if doubled > 9 else doubled
    digits += str(-total % 10)
    sign = rng.choice(("", " ", "-"))
    cuts = (0, 4, 10, 15) if size == 15 else (0, 4, 8, 12, 16)
    return sign.join(digits[a:b] for a, b in itertools.pairwise(cuts))


def _iban(rng: random.Random) -> str:
    country, letters, size = rng.choice(
        (("DE", string.digits, 18), ("FR", string.digits, 23), ("NO", string.digits, 11))
    )
    account = _of(rng, letters, size)
    spelled = "".join(str(int(sign, 36)) for sign in f"{account}{country}00")
    whole = f"{country}{98 - int(spelled) % 97:02d}{account}"
    if rng.random() < 0.5:
        return whole
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))


def _phone(rng: random.Random) -> str:
    forms = ("+49 30 #######", "+1 ### ### ####", "+1-###-###-####", "(###) ###-####")
    more = ("+44 20 #### ####", "###-###-####", "+33 1 ## ## ## ##", "+4930#######")
    form = rng.choice(forms + more)
    return "".join(rng.choice("23456789") if sign == "#" else sign for sign in form)


def _mail(rng: random.Random) -> str:
    name = rng.choice(("jane.doe", "j_doe+news", "JDoe", "info", "a.b-c", "o%x"))
    return (
        f"{name}{rng.randrange(99)}@{rng.choice(('example.com', 'mail.example.co.uk', 'x-y.de'))}"
    )


def _credential(rng: random.Random) -> str:
    name = rng.choice(("api_key", "API_KEY", "password", "secret_key", "AUTH_TOKEN", "accessToken"))
    return f"{name}{rng.choice(('=', ': ', ' = '))}{_of(rng, ALNUM, rng.randrange(20, 41))}"


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "e-mail": _mail,
    "card": _card,
    "iban": _iban,
    "phone": _phone,
    "openai-key": lambda r: r.choice(("sk-", "sk-proj-", "sk-svcacct-")) + _of(r, ALNUM, 48),
    "aws-key": lambda r: r.choice(("AKIA", "ASIA")) + _of(r, string.ascii_uppercase + "234567", 16),
    "huggingface-token": lambda r: "hf_" + _of(r, string.ascii_letters, 34),
    "github-token": lambda r: r.choice(
        (f"ghp_{_of(r, ALNUM, 36)}", f"github_pat_{_of(r, ALNUM, 22)}_{_of(r, ALNUM, 59)}")
    ),
    "gitlab-token": lambda r: "glpat-" + _of(r, ALNUM + "_-", 20),
    "slack-token": lambda r: f"xoxb-{_of(r, string.digits, 12)}-{_of(r, ALNUM, 24)}",
    "google-key": lambda r: "AIza" + _of(r, ALNUM + "_-", 35),
    "stripe-key": lambda r: r.choice(("sk_live_", "rk_live_")) + _of(r, ALNUM, 24),
    "npm-token": lambda r: "npm_" + _of(r, ALNUM, 36),
    "pypi-token": lambda r: "pypi-" + _of(r, ALNUM + "_-", 150),
    "jwt": lambda r: f"eyJ{_of(r, ALNUM, 33)}.eyJ{_of(r, ALNUM, 60)}.{_of(r, ALNUM + '_-', 43)}",
    "private-key": lambda r: (
        f"-----BEGIN {r.choice(('', 'RSA ', 'EC ', 'OPENSSH '))}PRIVATE KEY-----"
    ),
    "credential": _credential,
}


if __name__ == "__main__":
    main()

"""Check dataset files against every rule of the providers asked for, in one pass."""

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

from ftctl.datasets.across import overlaps, validation_size
from ftctl.datasets.examine import TRL_TOKENS, Asked
from ftctl.datasets.fast.options import Options
from ftctl.datasets.file_check import FileCheck, Progress
from ftctl.datasets.methods import require_method
from ftctl.datasets.near import near_findings, near_overlaps
from ftctl.datasets.read import STDIN, OnProgress, must_be_readable_twice
from ftctl.datasets.report import ESTIMATE_SAYS, Collector, Report, TokenEstimate, counted
from ftctl.datasets.rules import rft, trl
from ftctl.datasets.rules.limits import example_count, validation_count
from ftctl.datasets.rules.table import USUAL, known_providers
from ftctl.datasets.template_check import TemplateCheck
from ftctl.datasets.tokens.rendered import LocalCounter
from ftctl.datasets.tokens.types import TokenCounter
from ftctl.errors import UsageError


class LeftOff(KeyboardInterrupt):
    """A person left off with Ctrl-C; `report` says what was found up to there."""

    def __init__(self, report: Report) -> None:
        super().__init__("left off")
        self.report = report


def check(  # noqa: PLR0913 - keywords are the flags of the command line
    files: Sequence[Path],
    *,
    providers: Sequence[str] = USUAL,
    method: str = "sft",
    validation: Path | None = None,
    grader: str | None = None,
    max_errors: int = 50,
    duplicates: bool = True,
    near: bool = False,
    scan: bool = True,
    tokens: bool = True,
    counter: TokenCounter | None = None,
    limit: int | None = None,
    process_count: int | None = None,
    fast: bool = True,
    on_progress: OnProgress | None = None,
) -> Report:
    """Check training files, and what they share with each other and a validation file.

    Args:
        files: OpenAI-format JSONL, as it is or packed (gzip, zstd); `-` is standard input.
        providers: Whose rules to apply: of `rules.table.PROVIDERS`, or `mistral-v3` and the like.
        method: How the model will be tuned.
        validation: A held-out file, checked by the same rules but for its number of examples.
        grader: What will give the reward, as JSON text; for rft only.
        max_errors: How many issues are kept of each rule and severity; all are counted.
        duplicates, scan, tokens: Whether examples are compared, texts scanned, tokens told.
        near: Whether chat examples with nearly the same words are looked for, too.
        counter: Counts tokens as the model's tokenizer does; estimated when left out.
        limit: How many tokens of an example the model keeps; with a counter only.
        process_count: How many processes look at a file; None for as many as help.
        fast: False to apply every rule to every line; what is found is the same.
        on_progress: Called now and then with bytes read and to read, 0 where a pipe tells none.

    Raises:
        UsageError: a file can't be read, no file is given, or a provider's name is unknown.
        Unsupported: a method of which no rules are known.
        LeftOff: Ctrl-C; it holds what was found so far.
    """
    require_method(method)
    every = _all_of(files, validation, twice=near or grader is not None)
    collector = Collector(every, known_providers(providers), max_errors, method)
    progress = Progress(every, on_progress)
    counting = counter if tokens and counter is not None and counter.encoding else None
    estimated = tokens and counting is None
    asked = Asked(method, duplicates=duplicates, scan=scan, tokens=estimated)
    plain = Options(asked, max_errors, fast=fast, counter=counting, limit=limit)
    options = _minding(plain, collector, counter)
    checked = [FileCheck(file, options, collector, progress) for file in every]
    training = checked[: len(files)]
    tell = partial(_total_tokens, training, counter, options.limit, asked=tokens)
    try:
        _run(checked, process_count)
        _add_counts(training, method, collector)
        _add_overlaps(checked, collector, near=near)
        _add_held_out(checked, training, method, grader)
    except KeyboardInterrupt:
        raise LeftOff(collector.report(_examples(training), tell(), complete=False)) from None
    return collector.report(_examples(training), tell())


def _run(checked: Sequence[FileCheck], process_count: int | None) -> None:
    with collector_off():
        for file_check in checked:
            file_check.run(process_count)


def _all_of(files: Sequence[Path], validation: Path | None, *, twice: bool) -> list[Path]:
    if not files:
        raise UsageError("no file to check", hint="ftctl data check FILE")
    every = [*files, validation] if validation is not None else list(files)
    _require_different(every)
    for file in every if twice else ():
        must_be_readable_twice(file)
    return every


def _minding(options: Options, collector: Collector, counter: TokenCounter | None) -> Options:
    """Look as well for what only some providers mind, where one of them is asked about."""
    nova = collector.minded("reserved-string") or collector.minded("tools-unsupported")
    asked = replace(options.asked, nova=nova)
    limit = options.limit
    if collector.minded("too-long/trl"):
        limit = TRL_TOKENS if limit is None else limit
        asked = asked if options.counter is not None else replace(asked, most_tokens=TRL_TOKENS)
    template = None
    if isinstance(counter, LocalCounter) and collector.minded("template-empty"):
        template = TemplateCheck(counter)
    return replace(
        options,
        asked=asked,
        limit=limit,
        nine=collector.minded("tool-call-id-format"),
        template=template,
    )


def _add_counts(training: Sequence[FileCheck], method: str, collector: Collector) -> None:
    for one in training:
        if one.lines_readable and one.examples:
            one.add_whole(example_count(one.examples, method))
        if one.chats and collector.minded("column-mapping"):
            one.add_whole(trl.column_mapping(method))


def _add_overlaps(checked: Sequence[FileCheck], collector: Collector, *, near: bool) -> None:
    for one, other in combinations(checked, 2):
        for file, number, finding in overlaps(one.file, one.lines, other.file, other.lines):
            collector.add(file, number, finding)
    if near:
        _add_near([one for one in checked if one.examples], collector)


def _add_near(checked: Sequence[FileCheck], collector: Collector) -> None:
    for one in checked:
        one.add(near_findings(one.file))
    for one, other in combinations(checked, 2):
        for file, number, finding in near_overlaps(one.file, other.file):
            collector.add(file, number, finding)


def _add_held_out(
    checked: Sequence[FileCheck], training: Sequence[FileCheck], method: str, grader: str | None
) -> None:
    validation = checked[len(training) :]
    for one in validation:
        total_bytes = sum(file_check.size_bytes for file_check in training)
        one.add(validation_size(one.size_bytes, total_bytes))
        one.add_whole(validation_count(one.examples))
    if method == "rft" and not validation:
        checked[0].add_whole(rft.no_validation())
    for one in checked if method == "rft" and grader is not None else ():
        one.add(rft.grader_findings(one.file, grader or ""))


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """Without Python's search for cycles, of which decoded lines have none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _examples(checks: Sequence[FileCheck]) -> int:
    return sum(file_check.examples for file_check in checks)


def _require_different(files: list[Path]) -> None:
    seen: set[tuple[int, int]] = set()
    if files.count(STDIN) > 1:
        raise UsageError("standard input is given twice", hint="name each file once")
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # reading it tells what is wrong
            found = file.stat()
            if (found.st_dev, found.st_ino) in seen:
                raise UsageError(f"{file} is given twice", hint="name each file once")
            seen.add((found.st_dev, found.st_ino))


def _total_tokens(
    checks: Sequence[FileCheck], counter: TokenCounter | None, limit: int | None, *, asked: bool
) -> TokenEstimate:
    if not asked:
        return TokenEstimate(method="none", source="not asked for", error="")
    if counter is not None and counter.encoding:
        return counted([file_check.tally for file_check in checks], counter, limit)
    longest = max(checks, key=lambda c: c.max_tokens)
    return TokenEstimate(
        total_tokens=sum(c.total_tokens for c in checks),
        max_example_tokens=longest.max_tokens,
        max_example_line=longest.max_tokens_line or None,
        says=counter.says if counter is not None else ESTIMATE_SAYS,
    )

"""`ftctl advise --interview`: only the questions that could still change the answer."""

import shlex
import sys
from datetime import date
from typing import Any

import click

from ftctl.advisor.questions import QUESTIONS, Question, next_question
from ftctl.advisor.types import Facts, Features
from ftctl.catalog.load import load_catalog
from ftctl.errors import UsageError

_SAID = {"yes": "true", "no": "false"}


def interview(facts: Facts, features: Features | None, as_of: date) -> Facts:
    """Ask a person until no answer would change the advice; Enter skips a question.

    Args:
        facts: What is known already; it is not asked again.
        features: What a data file showed.
        as_of: The day to answer for.

    Raises:
        UsageError: there is no terminal to ask on.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "--interview asks on a terminal, and there is none",
            hint="say what you know by flags: ftctl advise --help",
        )
    catalog, skipped, given = load_catalog(), set[str](), dict[str, str]()
    click.echo("Enter skips a question, q ends them.", err=True)
    while question := next_question(facts, features, catalog, as_of, skipped):
        said = click.prompt(
            _prompt(question), default="", show_default=False, prompt_suffix=" ", err=True
        ).strip()
        if said.lower() == "q":
            break
        if not said:
            skipped.add(question.fact)
            continue
        answer = _SAID.get(said.lower(), said) if question.choices[:1] == ("yes",) else said
        try:
            facts = Facts.parse({**facts.model_dump(exclude_none=True), question.fact: answer})
        except UsageError as error:
            click.echo(error.message, err=True)
            continue
        given[question.fact] = answer
    if given:
        click.echo(f"The same without questions: {_command(given)}", err=True)
    return facts


def _prompt(question: Question) -> str:
    return f"{question.asks} [{', '.join(question.choices)}]" if question.choices else question.asks


def _command(given: dict[str, Any]) -> str:
    order = [question.fact for question in QUESTIONS if question.fact in given]
    flags = [f"--{fact.replace('_', '-')} {shlex.quote(given[fact])}" for fact in order]
    return " ".join(["ftctl advise", *flags])

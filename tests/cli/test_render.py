"""What a person reads is what was said, whatever marks it holds."""

import pytest

from ftctl.cli.render import Output

TEXT = "a[/b] [bold]c[/] :smile: \\[d]"


def test_other_people_s_brackets_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(color=False)
    out.line(TEXT)
    out.note(TEXT)
    out.table((TEXT,), [(TEXT,)], TEXT)
    out.styled((TEXT, "bold"), TEXT)
    printed = capsys.readouterr()
    assert printed.out.count(TEXT) == 6
    assert printed.err == TEXT + "\n"


def test_a_progress_line_takes_brackets_as_text() -> None:
    with Output(color=False).progress() as progress:
        progress.add_task(TEXT, note=TEXT)
        console = progress.console
        with console.capture() as shown:
            console.print(progress.get_renderable())
    assert shown.get().count("a[/b]") == 2

"""What a person reads is what was said, whatever marks it holds."""

from datetime import datetime

import pytest

from ftctl.cli.render import Output, short_time

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


def test_what_is_copied_is_never_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    columns = ("id", "what")
    Output().table(columns, [("job-7f3k2m9xab", "many words " * 9)], whole=("id",))
    lines = capsys.readouterr().out.splitlines()
    assert any("job-7f3k2m9xab" in line for line in lines)
    assert max(map(len, lines)) <= 40


def test_a_time_is_as_short_as_it_can_be_told() -> None:
    now = datetime.now().astimezone().replace(hour=13, minute=5)
    assert short_time(now) == "13:05"
    assert short_time(None) == "never"
    assert short_time(now.replace(year=now.year - 1, month=3, day=9)) == f"{now.year - 1}-03-09"
    other = now.replace(month=6 if now.month != 6 else 7, day=9)
    assert short_time(other) == f"{other:%d %b}"


def test_a_progress_line_takes_brackets_as_text() -> None:
    with Output(color=False).progress() as progress:
        progress.add_task(TEXT, note=TEXT)
        console = progress.console
        with console.capture() as shown:
            console.print(progress.get_renderable())
    assert shown.get().count("a[/b]") == 2


@pytest.mark.parametrize(
    ("variable", "flag", "coloured"),
    [("", True, True), ("1", True, False), ("", False, False), ("1", False, False)],
)
def test_no_color_is_heard_in_the_environment_and_as_a_flag(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    flag: bool,
    coloured: bool,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", variable)
    out = Output(color=flag)
    out.styled(("x", "green"))
    assert ("\x1b[32m" in capsys.readouterr().out) is coloured
    assert out.colored is coloured

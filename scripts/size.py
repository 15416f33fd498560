"""Print how much code there is, so that growth is seen: `python scripts/size.py`."""

import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def code_lines(source: str) -> int:
    """Lines that hold code: no blank line, no comment, no docstring or other bare string."""
    lines: set[int] = set()
    starts_statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in NOT_CODE or token.type == tokenize.ENDMARKER:
            starts_statement = starts_statement or token.type == tokenize.NEWLINE
            continue
        if not (starts_statement and token.type == tokenize.STRING):
            lines.update(range(token.start[0], token.end[0] + 1))
        starts_statement = False
    return len(lines)


def main() -> None:
    """One line for each folder that holds Python."""
    for folder in ("src", "tests", "scripts", "examples", "benchmarks"):
        paths = sorted((ROOT / folder).rglob("*.py"))
        sources = [path.read_text(encoding="utf-8") for path in paths]
        code = sum(code_lines(source) for source in sources)
        physical = sum(source.count("\n") for source in sources)
        print(f"{folder:<11}{len(paths):>4} files {code:>6} code lines {physical:>6} in all")


if __name__ == "__main__":
    main()

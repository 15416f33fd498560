"""The rule table: bytes, files and JSON."""

from ftctl.datasets.rules.rule import ERROR, UNVERIFIED, WARNING, Rule

ROWS: dict[str, Rule] = {
    "encoding": Rule(
        ERROR,
        "bytes that aren't UTF-8",
        "save it as UTF-8: iconv -f FROM -t UTF-8 FILE > NEW",
        certain=True,
    ),
    "bom": Rule(
        "WWW- EEE - EE ?? -",
        "a byte order mark at the file's start",
        "drop the first three bytes: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE",
        certain=True,
    ),
    "line-ends": Rule(
        "???? ??? - ?? ?? W",
        "lines that end in CR alone",
        "end lines with LF: tr '\\r' '\\n' < FILE > NEW",
        certain=True,
        source=UNVERIFIED,
    ),
    "blank-line": Rule(
        "WWWE EEE - -? ?? -",
        "an empty line",
        "drop empty lines: grep -v '^[[:space:]]*$' FILE > NEW",
        certain=True,
    ),
    "compressed": Rule(
        "EEEE EEE - EE EE -",
        "a compressed file",
        "unpack it: gunzip, unzstd, xz -d or unzip",
        certain=True,
        source="upload errors",
    ),
    "compressed/misnamed": Rule(
        "EEEE EEE W EE EE W",
        "a compressed file whose name doesn't say so",
        "unpack it, or name it NAME.jsonl.gz",
        certain=True,
        source="upload errors",
    ),
    "compressed/not": Rule(
        WARNING,
        "plain text in a file whose name says that it is compressed",
        "name it NAME.jsonl: it isn't compressed",
        certain=True,
    ),
    "compressed/unread": Rule(
        ERROR, "compressed data that can't be read", "unpack it: gunzip, unzstd, xz -d or unzip"
    ),
    "empty-file": Rule(ERROR, "no example at all", "give it examples, one JSON object a line"),
    "file-extension": Rule(
        "EEEE EEE - EE EE -",
        "a name that doesn't end in .jsonl",
        "name it NAME.jsonl",
        ".jsonl",
        certain=True,
    ),
    "file-extension/name": Rule(
        "---- --- - -- -E -",
        "a name with other characters than A-Z a-z 0-9 _ - .",
        "name it with letters, digits, _ and - alone",
        "A-Za-z0-9_-.",
        certain=True,
    ),
    "file-size": Rule(
        "EEEE EEE - -- -- -",
        "a file that is larger than one upload may be",
        "split it, or drop duplicates: 512 MB a file is the limit",
        "512 MB",
        source="upload pages",
    ),
    "file-size/150mb": Rule(
        "---- --- - -W -- -",
        "a file that is larger than one request may be",
        "nothing: ftctl sends it by a signed link",
        "150 MB a request",
    ),
    "file-size/1gb": Rule(
        "---- --- - -- E- -",
        "a file that is larger than Gemini takes",
        "split it, or drop duplicates: 1 GB a file is the limit",
        "1 GB",
    ),
    "file-size/50gb": Rule(
        "---- --- - E- -- -",
        "a file that is larger than Together's client sends",
        "split it: 50.1 GiB is the limit in its SDK, 100 GB in its documentation",
        "50.1 GiB",
    ),
    "not-jsonl": Rule(
        "EEEE EEE - EE EE W",
        "JSON values over several lines: an array, or pretty-printed objects",
        "one object a line: jq -c '.[]? // .' FILE > NEW.jsonl",
        certain=True,
    ),
    "json": Rule(
        ERROR,
        "a line that isn't JSON by RFC 8259",
        "write lines with a JSON library, such as json.dumps",
        "mended: a comma after the object, a byte order mark before it",
        certain=True,
    ),
    "json/two-objects": Rule(
        "EEEE EEE E EE EE W",
        "two objects on one line",
        "put the second object on a line of its own",
        certain=True,
    ),
    "line-not-object": Rule(
        ERROR, "a line that is no object", 'each line is an object: {"messages": [...]}'
    ),
    "line-not-object/list": Rule(
        "EEEE EEE E EE EE W",
        "a line that is a list of objects",
        "put each object of the list on a line of its own",
        certain=True,
    ),
    "json-nan": Rule(
        "EEEE EEE W WE EE W",
        "NaN, Infinity, or a number beyond a double",
        "write null or leave the key out",
    ),
    "json-nan/schema": Rule(
        WARNING,
        "the same inside a function's schema",
        "write null or leave the key out",
        source="parsers disagree, run",
    ),
    "duplicate-key": Rule(
        "WWWW WWW E WW WW E",
        "a key that comes twice in one object",
        "keep one of the two; parsers disagree on which counts",
    ),
    "lone-surrogate": Rule(
        ERROR,
        "half of a surrogate pair, as \\ud800",
        "write the whole character, or drop it; it can't be tokenized",
    ),
    "control-char": Rule(
        WARNING,
        "NUL or another control character in text",
        "drop it; it is almost always left over from extraction",
    ),
    "json-depth": Rule(
        ERROR,
        "nesting too deep for common parsers",
        "flatten it, or write the inner part as a string",
        "256 levels",
    ),
}

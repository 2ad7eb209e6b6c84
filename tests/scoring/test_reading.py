"""Files as people have them: each is read right, or refused with the row and the option that helps."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import logloss as ll
from logloss._errors import InvalidInputError
from logloss.cli import main

Make = Callable[..., Path]
Y_AND_P: dict[str, Any] = {"target": "y", "probability": "p"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(content: str | bytes, name: str = "rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def loss(source: Any, **options: Any) -> tuple[int, float]:
    found = ll.score(source, **Y_AND_P, **options).summary
    return found.rows, found.results[-1].statistics.log_loss


def expected(y: list[float], p: list[float]) -> tuple[int, float]:
    return loss({"y": y, "p": p})


TWO = expected([1, 0], [0.9, 0.25])


@pytest.mark.parametrize("title", ['"5" disk"', '"say \\"hi"', '5" disk', '"a ""b"""', "'x, y\""])
def test_quotes_in_unneeded_text(title: str, make: Make):
    """The rows of the report: an even number of strange quotes once hid half of them."""
    rows = [("1", "0.9", "a"), ("0", "0.2", title), ("1", "0.7", "b"), ("0", "0.4", "c"), ("1", "0.8", title)]
    lines = ["y,p,title", *(",".join(row) for row in [*rows, ("0", "0.1", "d")])]
    path = make("\n".join(lines) + "\n")
    if title.startswith("'"):
        with pytest.raises(InvalidInputError, match="Line: 3"):
            loss(path)
    else:
        rows, value = loss(path)
        assert (rows, round(value, 14)) == (6, 0.25408478360813)


def test_lines_within_quotes_are_no_rows(make: Make):
    """Neither where they look like rows and several threads read, nor where another line breaks the rules."""
    text = '"' + "1,0.5,y\n" * 40 + '"'
    lines = [f"1,0.9,{text}", "0,0.25,b"] * 50_000
    found, right = loss(make("y,p,t\n" + "\n".join(lines))), expected([1, 0] * 50_000, [0.9, 0.25] * 50_000)
    assert found == right
    with pytest.raises(InvalidInputError, match=r"Line: 3 .*--quote none"):
        loss(make('y,p,t\n1,0.9,"x\n1,0.5,y"\n0,0.25,"5" disk"\n'))


OPEN = {
    "in the header": 'y,p,"t\n1,0.9,a\n',
    "in the first row": 'y,p,t\n1,0.9,"a\n0,0.25,b\n',
    "amid the file": 'y,p,t\n1,0.9,a\n0,0.25,"b\n1,0.9,a\n0,0.25,b\n',
    "after a space": 'y,p,t\n1,0.9,a\n0,0.25, "b\n1,0.9,a\n',
    "after others": 'y,p,t\n1,0.9,"a\nb"\n0,0.25,"c ""d"", 5"" e"\n1,0.9,"a"\n0,0.25,"b""\n1,0.9,a\n',
    "at the end": 'y,p,t\n1,0.9,a\n0,0.25,"',
    "with two quotes behind": 'y,p,t\n1,0.9,a\n0,0.25,"b\n1,0.9,""\n',
    "late": "y,p,t\n" + '1,0.9,"a"\n' * 40_000 + '0,0.25,"b\n' + "1,0.9,a\n" * 10,
    "of another kind": "y,p,t\n1,0.9,'a'\n0,0.25,'b\n1,0.9,a\n",
}


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("where", OPEN)
def test_quotes_that_nothing_closes(where: str, given: bool, make: Make):
    """What follows them is no text of one row, to be passed over at the end."""
    kind = "'" if where == "of another kind" else '"'
    options = {"quote": kind} if given or where in ("of another kind", "after a space") else {}
    with pytest.raises(InvalidInputError, match=r"(Line: \d+|the header) .*quote='none' \(--quote none\)"):
        loss(make(OPEN[where]), **options)


def test_strange_quotes_that_come_late(make: Make):
    """Told by the whole file, when batches of rows have been read already."""
    plain = "1,0.9,abc\n" * 600_000
    rows, _ = loss(make("y,p,t\n" + plain + '0,0.2,"5" disk"\n' + plain))
    assert rows == 1_200_001


@pytest.mark.parametrize("text", ["NA", "NULL", "null", "None", "", "N/A", r"\N", '""'])
@pytest.mark.parametrize("late", [False, True])
def test_usual_texts_for_missing_numbers(text: str, late: bool, make: Make):
    lines = ["1,0.9"] * (20_000 if late else 1)
    path = make("\n".join(["y,p", *lines, f"0,{text}", "0,0.25"]) + "\n")
    with pytest.raises(
        InvalidInputError, match=rf"'p' must have a value in every row; .* in row {len(lines) + 1:,} of"
    ):
        loss(path)
    found = ll.score(path, **Y_AND_P, nulls="drop").summary
    assert (found.rows, found.dropped["missing"]) == (len(lines) + 1, 1)


def test_other_texts_for_missing_numbers(make: Make):
    path = make("y,p\n1,0.9\n0,-\n0,0.25\n")
    with pytest.raises(InvalidInputError, match=r"it is '-' in row 2 of .*rows.csv .*say null='-' \(--null\)"):
        loss(path, nulls="drop")
    assert loss(path, null="-", nulls="drop") == TWO


@pytest.mark.parametrize("text", ["nan", "NaN", "NAN"])
def test_nan_is_a_number_out_of_its_domain(text: str, make: Make):
    with pytest.raises(InvalidInputError, match=r"'p' \(probability\) must be in \[0, 1\]; it is nan in row 2"):
        loss(make(f"y,p\n1,0.9\n0,{text}\n"))


def test_a_bad_text_names_its_row_wherever_it_stands(make: Make):
    lines = ["1,0.9"] * 400_000
    lines[300_000] = "1,high"
    with pytest.raises(InvalidInputError, match=r"'p' must hold numbers; it is 'high' in row 300,001 of"):
        loss(make("y,p\n" + "\n".join(lines)), nulls="drop")


def groups(source: Any, **options: Any) -> dict[Any, int]:
    found = ll.score(source, **Y_AND_P, **options).summary.results
    return {one.group[0]: one.statistics.rows for one in found if one.group}


def test_groups_of_text_files_are_texts(make: Make, tmp_path: Path):
    path = make("y,p,g\n1,0.9,01234\n0,0.2,1234\n1,0.5,1.10\n1,0.5,1.1\n1,0.5,NA\n1,0.5,True\n")
    assert groups(path, group="g") == dict.fromkeys(["01234", "1234", "1.10", "1.1", "NA", "True"], 1)
    lines = '{"y":1,"p":0.5,"g":1}\n{"y":1,"p":0.5,"g":"1"}\n{"y":1,"p":0.5,"g":"01"}\n'
    assert groups(make(lines, "rows.jsonl"), group="g") == {"1": 2, "01": 1}


def test_groups_that_become_texts_late(make: Make, tmp_path: Path):
    first = make("y,p,g\n" + "1,0.5,1\n" * 11_000 + "1,0.5,x\n", "a.csv")
    second = tmp_path / "b.parquet"
    pl.DataFrame({"y": [1, 0], "p": [0.5, 0.5], "g": [1, 2]}).write_parquet(second)
    for files in ([first, second], [second, first]):
        assert groups(files, group="g") == {"1": 11_001, "2": 1, "x": 1}


def test_keys_that_come_late(make: Make):
    lines = '{"y":1,"p":0.9}\n' * 30_000 + '{"y":0,"p":0.25,"g":"a"}\n'
    assert groups(make(lines, "rows.jsonl"), group="g", nulls="drop") == {"a": 1}


DIALECTS: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "semicolons": ("y;p\n1;0.9\n0;0.25\n", {}),
    "decimal commas": ("y;p\n1;0,9\n0;0,25\n", {"decimal": ","}),
    "tabs": ("y\tp\n1\t0.9\n0\t0.25\n", {}),
    "spaces": ("y p\n1 0.9\n0 0.25\n", {"separator": "space"}),
    "bars": ("y|p\n1|0.9\n0|0.25\n", {}),
    "comments": ("# made by hand\ny,p\n1,0.9\n0,0.25\n", {}),
    "a separator declared": ("sep=;\ny;p\n1;0.9\n0;0.25\n", {}),
    "UTF-16": ("y,p\n1,0.9\n0,0.25\n".encode("utf-16"), {}),
    "a byte order mark": ("\ufeffy,p\n1,0.9\n0,0.25\n", {}),
    "Latin-1 in an unneeded column": ("t,y,p\na,1,0.9\né,0,0.25\n".encode("latin-1"), {}),
    "Latin-1 in the header": ("é,y,p\na,1,0.9\nb,0,0.25\n".encode("latin-1"), {"encoding": "latin-1"}),
    "spaces around numbers": ("y,p\n1, 0.9\n0 ,0.25 \n", {}),
    "signs": ("y,p\n+1,+0.9\n-0,2.5e-1\n", {}),
    "quoted numbers": ('"y","p"\n"1","0.9"\n"0","0.25"\n', {}),
    "single quotes": ("y,p,t\n1,0.9,'a, b'\n0,0.25,'c'\n", {"quote": "'"}),
    "blank lines": ("\n\ny,p\n1,0.9\n\n0,0.25\n\n", {}),
    "carriage returns": ("y,p\r\n1,0.9\r\n0,0.25\r\n", {}),
    "mixed line ends": ("y,p\r\n1,0.9\n0,0.25\r\n", {}),
    "no last line end": ("y,p\n1,0.9\n0,0.25", {}),
    "line ends within quotes": ('y,p,t\n1,0.9,"a\nb"\n0,0.25,"c"\n', {}),
    "truth values": ("y,p\nTrue,0.9\nfalse,0.25\n", {}),
    "a name that is not needed twice": ("y,t,t,p\n1,,,0.9\n0,,,0.25\n", {}),
    "names that differ in case": ("y,P,p\n1,7,0.9\n0,7,0.25\n", {}),
}


@pytest.mark.parametrize("case", DIALECTS)
def test_dialects(case: str, make: Make):
    content, options = DIALECTS[case]
    assert loss(make(content), **options) == TWO


REFUSED = {
    "percent": ("y,p\n1,90%\n", {}, r"it is '90%' in row 1 .*divide percentages by 100"),
    "decimal comma": ("y;p\n1;0,9\n", {}, r"it is '0,9' in row 1 .*decimal=',' \(--decimal ,\)"),
    "decimal point": ("y;p\n1;0.9\n", {"decimal": ","}, r"it is '0.9' in row 1 .*leave decimal \(--decimal\) out"),
    "words": ("y,p\nyes,0.9\n", {}, r"it is 'yes' in row 1 .*\(--positive\): its texts are 'yes'"),
    "two of a name": ("y,p,p\n1,0.9,0.1\n", {}, r"'p' must be one; .* has 2 of that name"),
    "Latin-1": ("y,p,é\n1,0.9,é\n".encode("latin-1"), {"group": "é"}, r"encoding='latin-1' .*--encoding"),
    "a short line": ("y,p\n1,0.9\n0\n", {}, r"Line: 3 .*--separator"),
    "a long line": ("y,p\n1,0.9\n0,0.5,1\n", {}, r"Line: 3 .*--separator"),
    "a carriage return in a line": ("y,p\n1,0.9\r0,0.5\n1,0.5\n", {}, r"lines must end in \\n or in \\r\\n"),
    "an open quote": ('y,p,t\n1,0.9,"a, b"\n0,0.5,"5" disk, x"\n', {}, r"Line: 3 .*--quote none"),
    "no header": ("1,0.9\n0,0.25\n", {}, r"seems to have no header.*header=False \(--no-header\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, make: Make):
    content, options, message = REFUSED[case]
    with pytest.raises(InvalidInputError, match=message):
        loss(make(content), **options)


def test_mixed_line_ends_lose_no_row(tmp_path: Path):
    """Wherever they stand: beside quoted line ends, late in a long file, packed."""
    for seed in range(12):
        rng = random.Random(seed)
        rows = [
            (rng.randint(0, 1), rng.random(), rng.choice(["a", "b c", '"q ""x"""', '"two\nlines"', "é"]))
            for _ in range(400)
        ]
        lines = ["y,p,g", *(f"{y},{p},{g}" for y, p, g in rows * (60 if seed == 0 else 1))]
        late = len(lines) // 2 if seed % 3 == 0 else 1
        ends = ["\n" if k < late else rng.choice(["\n", "\r\n"]) for k in range(len(lines))]
        content = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode()
        path = tmp_path / f"{seed}.csv"
        path.write_bytes(gzip.compress(content) if seed % 2 else content)
        found = ll.score(path, target="y", probability="p", group="g")
        table = pl.read_csv(content.replace(b"\r\n", b"\n"))
        assert found.summary.results == ll.score(table, target="y", probability="p", group="g").summary.results


def test_no_header(make: Make):
    path = make("1,0.9\n0,0.25\n")
    with pytest.raises(InvalidInputError, match=r"must be named \(target\); the file seems to have no header"):
        ll.score(path, target=None, probability="p")  # type: ignore[arg-type]
    options: dict[str, Any] = {"target": "1", "probability": "2", "header": False}
    assert ll.score(path, **options).summary.results[0].statistics.log_loss == TWO[1]


@pytest.mark.parametrize("name", ["part-00000", "part-00000.json", "rows.txt", "rows", "rows.data"])
def test_formats_by_content(name: str, make: Make, tmp_path: Path):
    texts = ["y,p\n1,0.9\n0,0.25\n", "y\tp\n1\t0.9\n0\t0.25\n", '{"y":1,"p":0.9}\n{"y":0,"p":0.25}\n']
    texts += ['[{"y":1,"p":0.9},\n {"y":0,"p":0.25}]']
    for text in texts[2:] if name.endswith("json") else texts:
        for packed in (bytes, gzip.compress, bz2.compress):
            assert loss(make(packed(text.encode()), name)) == TWO
    pl.DataFrame({"y": [1, 0], "p": [0.9, 0.25]}).write_parquet(tmp_path / name)
    assert loss(tmp_path / name) == TWO


def test_a_format_that_is_said(make: Make):
    assert loss(make('{"y":1,"p":0.9}\n{"y":0,"p":0.25}\n', "rows.csv"), format_in="json") == TWO


def test_nan_in_json(make: Make):
    with pytest.raises(InvalidInputError, match=r"'p' \(probability\) must be in \[0, 1\]; it is nan in row 2"):
        loss(make('\ufeff{"y":1,"p":0.9}\n{"y":0,"p":NaN}\n', "rows.jsonl"))


@pytest.mark.parametrize("line", ["3", "[1]", '{"y":1,"p":', '{"y":1,"p":0.5}{"y":1,"p":0.5}', '"y"'])
def test_json_lines_that_are_no_objects(line: str, make: Make):
    with pytest.raises(InvalidInputError, match="cannot be read as JSON lines"):
        loss(make(f'{{"y":1,"p":0.9}}\n{line}\n{{"y":0,"p":0.25}}\n', "rows.jsonl"))


NESTED = pl.DataFrame({"y": [1, 0], "m": [{"p": [0.1, 0.9]}, {"p": [0.75, 0.25]}], "q": [[0.1, 0.9], [0.75, 0.25]]})


def test_values_within_columns(tmp_path: Path):
    NESTED.write_parquet(tmp_path / "rows.parquet")
    NESTED.write_ndjson(tmp_path / "rows.jsonl")
    for source in (NESTED, tmp_path / "rows.parquet", tmp_path / "rows.jsonl", NESTED.to_arrow()):
        for name in ("m.p[1]", "q[1]"):
            found = ll.score(source, target="y", probability=name).summary
            assert (found.rows, found.results[0].statistics.log_loss) == TWO
        with pytest.raises(InvalidInputError, match=r"there is no column 'm\.q'"):
            ll.score(source, target="y", probability="m.q")


def test_options_on_the_command_line(make: Make, capsys: pytest.CaptureFixture[str]):
    path = make("1;'0,9'\n0;'0,25'\n0;-\n".encode("utf-16"), "rows")
    options = ["--separator", ";", "--decimal", ",", "--null", "-", "--encoding", "utf-16", "--no-header"]
    options += ["--quote", "'", "--format-in", "csv", "--nulls", "drop", "--format", "csv"]
    assert main(["score", str(path), "--target", "1", "--probability", "2", *options]) == 0
    out = capsys.readouterr().out
    assert next(csv.DictReader(io.StringIO(out)))["log_loss"] == repr(TWO[1])


@pytest.mark.parametrize(
    ("option", "value"),
    [("separator", ";;"), ("decimal", ";"), ("encoding", "ebcdic"), ("quote", "ab"), ("format_in", "xls")],
)
def test_bad_options(option: str, value: str, make: Make):
    with pytest.raises(InvalidInputError, match=f"{option} must be .*; got {value!r}"):
        loss(make("y,p\n1,0.5\n"), **{option: value})


# Random files against another reader


def random_rows(rng: random.Random) -> list[list[str]]:
    texts = ["", "a", "a, b", 'say "hi"', "it's", "é ü", "5' 3\"", "x;y", "tab\there", " pad ", "0012", "line\nend"]
    texts = rng.sample(texts, rng.randint(1, len(texts)))
    size = rng.choice([1, 2, 10, 300, 3_000])
    return [
        [rng.choice(texts), str(rng.randint(0, 1)), rng.choice(texts), repr(rng.random()), rng.choice("abc")]
        for _ in range(size)
    ]


def random_file(rng: random.Random) -> tuple[bytes, list[list[str]], dict[str, Any]]:
    """A file that Python's writer made, with one bad field now and then."""
    rows = random_rows(rng)
    if rng.random() < 0.2:
        rng.choice(rows)[3] = rng.choice(["high", "", "NA", "nan", "1.5"])
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    separator = rng.choice(",;\t|")
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=rng.choice(["\n", "\r\n"]))
    writer.writerow(["t,1", "y", "u", "p", "g"])
    writer.writerows(rows)
    content = out.getvalue().encode(rng.choice(["utf-8", "utf-8-sig"]))
    return content, rows, {"separator": separator}


def read_independently(content: bytes, separator: str) -> list[dict[str, str]]:
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    return list(csv.DictReader(text, delimiter=separator))


@pytest.mark.parametrize("seed", range(4))
def test_random_files(seed: int, make: Make, request: pytest.FixtureRequest):
    """All rows with their values, as Python's reader has them, or an error where there is a bad field."""
    rng = random.Random(seed)
    for number in range(500 if request.config.getoption("--exhaustive") else 25):
        content, rows, said = random_file(rng)
        records = read_independently(content, **said)
        assert len(records) == len(rows)
        packed = gzip.compress(content) if rng.random() < 0.2 else content
        path = make(packed, f"{number}.csv")
        options = said if rng.random() < 0.5 else {}
        try:
            y, p = ([float(one[name]) for one in records] for name in "yp")
            valid = all(0 <= value <= 1 for value in p)
        except ValueError:
            valid = False
        if not valid:
            with pytest.raises(InvalidInputError, match="column 'p'"):
                ll.score(path, **Y_AND_P, group="g", **options)
            continue
        table = {"y": y, "p": p, "g": [one["g"] for one in records]}
        found, right = ll.score(path, **Y_AND_P, group="g", **options), ll.score(table, **Y_AND_P, group="g")
        assert repr(found.to_rows()) == repr(right.to_rows())  # NaN is NaN
        path.unlink()


def test_states_agree_with_files(make: Make, tmp_path: Path):
    """Sites that are numbers in Monday's file and texts in Tuesday's are the same in both days' states."""
    monday, tuesday = make("y,p,g\n1,0.9,1\n0,0.5,2\n", "a.csv"), make("y,p,g\n1,0.5,1\n0,0.25,x\n", "b.csv")
    parts = [ll.score(path, **Y_AND_P, group="g") for path in (monday, tuesday)]
    together = ll.score([monday, tuesday], **Y_AND_P, group="g")
    assert repr(ll.merge(*parts).to_rows()) == repr(together.to_rows())
    assert [one.group for one in together.summary.results] == [("1",), ("2",), ("x",), None]

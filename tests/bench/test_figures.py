# SPDX-License-Identifier: Apache-2.0
"""The tables of the documents are what the recorded figures say. Nothing is measured here."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.harness import bench_all, figures  # noqa: E402

RECORD = {"command": "scripts/bench-example", "date": "2026-11-30", "machine": "a machine", "load": [0.5, 1.5], "tables": {"example": [
    figures.row("start", 8.46, "ms", floor=2, aim="<= 8"),
    figures.row("rate", 88_312.4, "/s", floor=100_000, aim=">= 0.85 x floor"),
    figures.row("each", 4.5, "us", floor=2.5, aim="<= floor + 2"),
    figures.row("size", 0, "MiB")]}}
TABLE = """\
`scripts/bench-example`, 2026-11-30, load 0.5 to 1.5:

|  | measured | floor in the same run | of the floor | aim | met |
|---|---|---|---|---|---|
| start | 8.46 ms | 2 ms | 423 % | <= 8 ms | no |
| rate | 88,300/s | 100,000/s | 88.3 % | >= 85 % of the floor | yes |
| each | 4.5 us | 2.5 us | 180 % | <= floor + 2 us | yes |
| size | 0 MiB |  |  |  |  |
"""


def documented():
    return [region[2] for path in bench_all.DOCUMENTS for region in bench_all.REGION.finditer(path.read_text())]


def test_a_table_is_printed_from_a_record():
    assert figures.printed(RECORD, "example") == TABLE


def test_columns_without_an_entry_are_left_out():
    assert figures.lines_of([figures.row("start", 8, "ms")]) == [["", "measured"], ["start", "8 ms"]]


def test_a_document_is_changed_in_its_regions_only():
    document = "Before.\n<!-- figures: example -->\nold\n<!-- end -->\nAfter.\n"
    assert bench_all.filled(document, {"example": "new\n"}) == document.replace("old", "new")


def test_a_benchmark_leaves_a_record(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["bench-example", "--json", str(tmp_path / "record.json")])
    figures.main("scripts/bench-example", "An example.", lambda arguments: RECORD["tables"])
    record = json.loads((tmp_path / "record.json").read_text())
    assert set(record) == set(RECORD) | {"seconds"} and record["tables"] == RECORD["tables"]
    assert capsys.readouterr().out.endswith(TABLE.split("\n", 1)[1] + "\n")


def test_a_benchmark_that_fails_says_why(monkeypatch, tmp_path):
    monkeypatch.setitem(bench_all.BENCHMARKS, "bad", ["/bin/sh", "-c", "echo first; echo no root; exit 3"])
    assert bench_all.run("bad", tmp_path / "bad.log", quick=True) == "ended with 3: no root"


def test_each_region_is_of_a_benchmark_and_each_recorded_table_has_one():
    names = documented()
    assert len(names) == len(set(names))
    assert all(name in ("machine", "400g") or name.split("-")[0] in bench_all.BENCHMARKS for name in names)
    assert set(bench_all.regions(bench_all.records())) <= set(names)


def test_the_regions_are_what_the_records_say():
    for path in bench_all.DOCUMENTS:
        assert path.read_text() == bench_all.filled(path.read_text(), bench_all.regions(bench_all.records())), \
            f"{path}: run scripts/bench-all --write"


def test_the_scripts_exist():
    assert all((bench_all.ROOT / command[0]).is_file() for command in bench_all.BENCHMARKS.values())

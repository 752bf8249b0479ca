# SPDX-License-Identifier: Apache-2.0
"""The page as a file: whole HTML, nothing from a network, every name escaped, readable colours."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from report_samples import for_two_targets, layer, manifest, search_report
from tiny_model import only_json

from tinytailor.cli.output import rounded
from tinytailor.cli.report import write_page
from tinytailor.cli.report_page import page
from tinytailor.cli.report_page.drawing import templates
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]

MISSING = object()
VOID = {"meta", "link", "br"}
PARTS = ["cost", "classes", "layers", "arena", "trials", "path", "training", "preprocessing"]
LAST = ["details", "provenance", "limits"]


class Reader(HTMLParser):
    """Tags that are open, all attributes, and the text outside of the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def named(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def sections(reader: Reader) -> list[str]:
    return [value for tag, name, value in reader.attributes if (tag, name) == ("section", "id")]


@pytest.mark.parametrize("report", [search_report(), manifest(), for_two_targets()])
def test_the_page_is_whole_and_asks_no_network_for_anything(report):
    text = page(report)
    reader = Reader(text)
    assert reader.open == []
    assert {tag for tag, _, _ in reader.attributes}.isdisjoint({"script", "img", "iframe", "form"})
    assert not reader.named("src")
    assert all(link.startswith("#") or link == "data:," for link in reader.named("href"))
    assert not re.search(r"url\(|@import|https?:", text)
    (policy,) = [v for v in reader.named("content") if "default-src" in v]
    assert policy.startswith("default-src 'none';")
    anchors = reader.named("id")
    assert len(anchors) == len(set(anchors))
    assert {link[1:] for link in reader.named("href") if link.startswith("#")} <= set(anchors)


def test_parts_come_in_order_and_only_where_there_is_something_to_show():
    assert sections(Reader(page(search_report()))) == [*PARTS, *LAST]
    assert sections(Reader(page(manifest()))) == ["layers", "arena", *LAST]
    bare = search_report()
    for key in ("scores", "float_scores", "history", "preprocessing", "settings"):
        del bare[key]
    assert sections(Reader(page(bare))) == ["cost", "layers", "arena", "trials", *LAST]
    two = sections(Reader(page(for_two_targets())))
    assert {"cost-1", "cost-2", "layers-1", "layers-2", "arena-1", "arena-2"} <= set(two)


def test_the_page_holds_the_numbers_of_the_report():
    reader = Reader(page(search_report()))
    for number in (
        *("85.00 %", "90.00 %", "2.125 ms", "2.124 ms", "900 B", "1536 B", "3000 B", "2048 B"),
        *("17 of 20", "83.3 %", "61.1 %", "1.250", "58.8 %", "3,600 MAC", "/ std / 0.05)"),
    ):
        assert number in reader.words, number


def test_names_of_classes_layers_and_files_are_text():
    report = search_report()
    report["targets"][0]["profile"]["layers"][0]["name"] = '"><script>alert(1)</script>'
    report["targets"][0]["profile"]["arena"][0]["tensors"] = ["' onclick='x"]
    text = page(report)
    reader = Reader(text)
    assert "<script" not in text
    assert "<b>&" in reader.words
    assert '"><script>alert(1)</script>' in reader.words
    assert not reader.named("onclick")
    assert "run/<project>" in reader.words


def test_the_same_report_gives_the_same_bytes_also_read_back_from_json():
    report = search_report()
    again = json.loads(json.dumps(report, sort_keys=True))
    assert page(report) == page(again)


def test_a_large_report_stays_small():
    """40 classes, 300 layers, 5,000 epochs."""
    report = search_report()
    names = [f"class {index}" for index in range(40)]
    one = report["scores"]["per_class"][0]
    report["scores"] |= {
        "names": names,
        "confusion": [[int(i == j) for j in range(40)] for i in range(40)],
        "per_class": [{**one, "name": name} for name in names],
    }
    profile = report["targets"][0]["profile"]
    profile["layers"] = [
        layer(i, f"layer_{i}", "conv2d", [1, 8, 8, 8], 100, 0.1) for i in range(300)
    ]
    profile["arena"] = [
        {"name": "t", "offset": i % 7, "bytes": 9, "first": i, "last": i + 1, "tensors": ["t"]}
        for i in range(300)
    ]
    report["history"]["float_loss"] = [1 / (1 + i) for i in range(5000)]
    assert len(page(report).encode()) < 500_000


def test_of_very_many_classes_the_mistakes_are_listed_and_no_map_is_drawn():
    report = search_report()
    report["scores"]["confusion"] = [[int(i == j) for j in range(41)] for i in range(41)]
    report["scores"]["confusion"][3][5] = 8
    report["scores"]["names"] = [f"c{index}" for index in range(41)]
    one = report["scores"]["per_class"][0]
    report["scores"]["per_class"] = [{**one, "name": f"c{index}"} for index in range(41)]
    reader = Reader(page(report))
    assert "confusion" not in reader.named("class")
    assert "41 classes are too many for a map" in reader.words
    assert "c3 taken for c5, 8 of 20" in reader.words


def test_every_plot_has_a_text_beside_it():
    reader = Reader(page(search_report()))
    images = [a for a in reader.attributes if a[1:] == ("role", "img")]
    labels = [value for value in reader.named("aria-label") if len(value) > 20]
    assert len(images) == 4
    assert len([label for label in labels if "Contents" not in label]) >= 4
    for summary in ("All 3 buffers", "As a table"):
        assert summary in reader.words
    assert "Training loss: float from 2.000 in epoch 1 to 1.000 in epoch 2; int8" in " ".join(
        labels
    )


def places(report: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a report."""
    items = report.items() if isinstance(report, dict) else enumerate(report)
    for key, value in list(items):
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


def damaged(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The report with one value missing, or of another kind."""
    changes = itertools.cycle((MISSING, None, MISSING, "x", MISSING, -1, [], {}))
    for place in places(report):
        copied = holder = copy.deepcopy(report)
        for key in place[:-1]:
            holder = holder[key]
        if (value := next(changes)) is MISSING:
            del holder[place[-1]]
        else:
            holder[place[-1]] = value
        yield copied


def test_a_damaged_report_gives_a_page_or_a_sentence(tmp_path):
    outcomes = {"page": 0, "sentence": 0}
    for report in damaged(search_report()):
        try:
            write_page(tmp_path, report, tmp_path / "page.html")
            outcomes["page"] += 1
        except InputError:
            outcomes["sentence"] += 1
    assert min(outcomes.values()) > 50


def test_report_writes_the_page_to_the_file_that_is_named(cli, tmp_path):
    report = rounded(search_report())
    (tmp_path / "report.json").write_text(json.dumps(report))
    file = tmp_path / "page.html"
    result = cli("report", tmp_path, "--html", file)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{file}: {file.stat().st_size} B\n"
    assert file.read_text() == page(report)
    assert only_json(cli("report", tmp_path, "--html", file, "--json").stdout) == report
    for nowhere in (tmp_path, tmp_path / "none" / "page.html"):
        result = cli("report", tmp_path, "--html", nowhere)
        assert result.exit_code == 2
        assert "expected a file in a folder that exists" in result.stderr


def test_an_incomplete_report_is_refused_and_no_page_is_written(cli, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"kind": "search", "data": "x"}))
    result = cli("report", tmp_path, "--html", tmp_path / "page.html", "--json")
    assert result.exit_code == 2
    assert "is not complete" in only_json(result.stdout)["error"]
    assert not (tmp_path / "page.html").exists()


def luminance(colour: tuple[float, ...]) -> float:
    """Relative, of sRGB in 0..255 (WCAG 2.2)."""
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def palettes() -> list[dict[str, tuple[float, ...]]]:
    """The colours of the light and of the dark page."""
    css = templates().get_template("page.css").render()
    found = []
    for block in re.findall(r":root \{([^}]*--page[^}]*)\}", css):
        names = dict(re.findall(r"--(\w+): ([^;]+);", block))
        colours = {}
        for name, value in names.items():
            if value.startswith("#"):
                colours[name] = tuple(int(value[i : i + 2], 16) for i in (1, 3, 5))
            elif " " in value:
                colours[name] = tuple(map(float, value.split()))
            else:
                colours[name] = (float(value),)
        found.append(colours)
    return found


def test_text_stands_out_from_what_is_behind_it_in_light_and_in_dark():
    assert len(palettes()) == 2
    for colours in palettes():
        card, (shade,) = colours["card"], colours["shade"]
        for name in ("ink", "quiet", "first", "bad", "good"):
            assert contrast(colours[name], card) > 4.5, name
        for name in ("first", "second", "third", "bad"):  # bars and curves
            assert contrast(colours[name], card) > 3, name
        for name in ("right", "wrong"):  # the darkest cells of a matrix, under their counts
            cell = tuple(
                shade * c + (1 - shade) * b for c, b in zip(colours[name], card, strict=True)
            )
            assert contrast(colours["ink"], cell) > 4.5, name

# SPDX-License-Identifier: Apache-2.0
"""What each part of the page shows, as numbers: counted by hand from a small report."""

from __future__ import annotations

import pytest
from report_samples import BOARD, check, for_two_targets, manifest, search_report

from tinytailor.cli.report_page.answer import Check, Figure, answer, interval
from tinytailor.cli.report_page.arena import Arena, arena, bytes_in_use
from tinytailor.cli.report_page.chart import Chart, Curve, byte_ticks, picked, ticks
from tinytailor.cli.report_page.classes import Mistake, class_results
from tinytailor.cli.report_page.cost import CostRow, cost
from tinytailor.cli.report_page.devices import devices
from tinytailor.cli.report_page.drawing import listed, size, wide
from tinytailor.cli.report_page.front import draw_front, front
from tinytailor.cli.report_page.layers import Layer, layer_costs
from tinytailor.cli.report_page.limits import limits
from tinytailor.cli.report_page.preprocessing import Channel, preprocessing
from tinytailor.cli.report_page.provenance import provenance
from tinytailor.cli.report_page.search_path import SearchPath, search_path
from tinytailor.cli.report_page.training import training
from tinytailor.cli.report_page.trials import TrialCost, TrialRow, trials
from tinytailor.compiler.mcu.arena_chart import ArenaRow

pytestmark = [pytest.mark.pure]

TRUST = "fitted on measurements, mean error 1.9 % on them"


def test_the_answer_is_a_sentence_and_its_numbers():
    found = answer(search_report())
    assert found.title == f"npz:my <data>.npz on {BOARD}"
    assert found.sentence == (
        "An int8 network of 3 layers classifies 17 of 20 test inputs right and keeps its budget "
        f"on {BOARD}."
    )
    assert found.good
    (group,) = found.groups
    accuracy, *cost = group.figures
    assert (accuracy.value, accuracy.limit) == ("85.00 %", "on 20 test inputs")
    assert accuracy.note == (
        "95 % interval 64.0 % to 94.8 %; balanced accuracy 61.1 %, macro-F1 58.5 %"
    )
    assert cost == [
        Figure("latency (emulated, modelled)", "2.125 ms", "of 2.500 ms", TRUST, 0.85, "ok"),
        Figure("RAM (arena, buffers, stack)", "1.5 KiB", "of 2 KiB", "", 0.75, "ok"),
        Figure("flash (code, constants)", "2.9 KiB"),
    ]
    assert found.verified == (
        Check("emitted C on the host: bit-exact with the integer model, 20 test inputs", "exact"),
        Check(
            f"emitted C on the emulated {BOARD}: bit-exact with the integer model, 20 test inputs",
            "exact",
        ),
    )


def test_a_broken_budget_and_a_failed_check_come_first():
    over = answer(search_report(budget={"latency_ms": 2.0, "flash_bytes": 2999}))
    assert not over.good
    assert f"right, but is over its budget in latency and flash on {BOARD}." in over.sentence
    assert [figure.verdict for figure in over.groups[0].figures] == ["", "OVER", "", "OVER"]
    differs = check("emulator", bit_exact=False, differing_elements=4)
    wrong = answer(search_report(verification=[check("host"), differs]))
    assert not wrong.good
    assert wrong.sentence == (
        "The emitted C does not compute the integers of the trained network on the emulated "
        f"{BOARD}."
    )
    assert [line.verdict for line in wrong.verified] == ["exact", "wrong"]
    assert "NOT bit-exact, 4 of 60 output elements differ" in wrong.verified[1].text


def test_the_answer_of_a_project_has_no_budget_and_no_accuracy():
    found = answer(manifest())
    assert found.sentence == (
        "A network of 3 layers and 8,800 multiply-accumulates takes 2.125 ms, 1.5 KiB of RAM and "
        f"2.9 KiB of flash on {BOARD}."
    )
    assert [figure.limit for figure in found.groups[0].figures] == ["", "", ""]
    untimed = answer({**manifest(), "latency_ms": None})
    assert untimed.groups[0].figures[0] == Figure("instructions, no cycle model", "255,000")


def test_each_target_has_numbers_of_its_own():
    found = answer(for_two_targets())
    assert [group.title for group in found.groups] == ["", BOARD, "nucleo-l4r5zi"]
    assert found.sentence.endswith(", but is over its budget in latency on nucleo-l4r5zi.")
    assert len(found.verified) == 4
    first, second = devices(for_two_targets())
    assert first.over == ()
    assert [quantity.key for quantity in second.over] == ["latency_ms"]


def test_the_interval_of_an_accuracy_is_wilsons():
    assert interval(40, 40) == pytest.approx((40 / (40 + 1.959964**2), 1.0), rel=1e-6)
    low, high = interval(50, 100)
    assert low + high == pytest.approx(1.0)
    assert low == pytest.approx(0.4038315)


def test_costs_stand_beside_their_prediction_and_limit():
    (device,) = devices(search_report())
    found = cost(device)
    assert found.known == "predicted from the table"
    assert set(found.rows) >= {
        CostRow("latency (emulated, modelled)", "2.124 ms", "2.125 ms", "2.500 ms", 0.85, "ok"),
        CostRow("arena", "900 B", "900 B", "", None, ""),
        CostRow("RAM (arena, buffers, stack)", "1536 B", "1536 B", "2048 B", 0.75, "ok"),
        CostRow("flash (code, constants)", "3000 B", "3000 B", "", None, ""),
    }
    assert cost(devices(manifest())[0]) is None


def test_classes_have_their_row_of_the_matrix_and_the_mistakes_are_counted():
    found = class_results(search_report())
    assert [row.cells for row in found.rows] == [(12, 0, 0), (1, 5, 0), (1, 1, 0)]
    assert found.rows[2].shares == (0.5, 0.5, 0.0)
    assert (found.rows[2].precision, found.rows[2].recall) == (None, 0.0)
    assert found.mistakes == (
        Mistake("run", "<b>&", 1),
        Mistake("stand", "<b>&", 1),
        Mistake("stand", "run", 1),
    )
    assert [(row.name, row.accuracy) for row in found.summaries] == [
        ("float network", 0.9),
        ("int8, integer reference", 0.85),
    ]
    assert found.mapped
    assert class_results({"kind": "search"}) is None


def test_the_baseline_of_unbalanced_classes_comes_first():
    always = {"accuracy": 0.6, "balanced_accuracy": 1 / 3, "macro_f1": 0.25}
    balance = {"largest": "run", "always_largest": always, "text": "run is 60 %", "hint": None}
    found = class_results({**search_report(), "balance": balance})
    assert (found.summaries[0].name, found.summaries[0].accuracy) == ("always 'run'", 0.6)
    assert found.balance == ("run is 60 %",)


def test_layers_take_their_share_of_time_and_of_memory():
    found = layer_costs(devices(manifest())[0])
    assert found.layers == (
        Layer(0, "a", "conv2d", (1, 10, 10, 8), 4000, 0.5, 0.5 / 2.125, 800, 40),
        Layer(1, "b", "depthwise_conv2d", (1, 10, 10, 4), 3600, 1.25, 1.25 / 2.125, 900, 36),
        Layer(3, "d", "dense", (1, 3), 1200, 0.25, 0.25 / 2.125, 400, 12),
    )
    assert (found.unit, found.between, found.total) == ("ms", 0.125, 2.125)


def test_without_a_cycle_model_layers_are_compared_by_instructions():
    project = manifest()
    for layer in project["layers"]:
        layer["latency_ms"] = None
    found = layer_costs(devices(project)[0])
    assert found.unit == "instructions"
    assert [layer.work for layer in found.layers] == [60_000, 150_000, 30_000]
    assert found.between == 15_000


def test_the_arena_counts_bytes_under_two_buffers_once():
    found = arena(devices(manifest())[0])
    assert found == Arena(
        900,
        "proven the least for these buffers",
        (
            ArenaRow(0, 800, 0, 1, ("a",)),
            ArenaRow(200, 400, 1, 3, ("b", "c")),
            ArenaRow(800, 100, 1, 1, ("b/scratch",), scratch=True),
        ),
        (800, 900, 400, 400),
    )
    assert found.fullest == (1,)
    apart = [ArenaRow(0, 4, 0, 0, ()), ArenaRow(8, 4, 0, 0, ()), ArenaRow(10, 4, 0, 0, ())]
    assert bytes_in_use(apart, 0) == 10
    assert arena(devices({**manifest(), "arena": []})[0]) is None


def test_int8_training_goes_on_where_float_training_ended():
    found = training(search_report())
    assert found.curves == (Curve("float", (2.0, 1.0)), Curve("int8", (0.5,), start=2))
    assert found.epochs == 3
    assert training({}) is None


def test_what_a_search_expected_is_told_in_per_cent_of_the_limit():
    found = search_path(search_report())
    assert found == SearchPath(
        Chart(
            "Expected cost, % of the budget",
            "{:.1f} %",
            (Curve("latency", (400.0, 200.0, 90.0)),),
            100.0,
        ),
        Chart(
            "Accuracy on the validation part",
            "{:.1f} %",
            (Curve("of the mixture", (25.0, 50.0, 75.0)),),
        ),
    )
    two = search_path(for_two_targets()).expected
    assert [curve.name for curve in two.curves] == [
        f"latency on {BOARD}",
        "latency on nucleo-l4r5zi",
    ]
    assert search_path({**search_report(), "history": {"chosen": 0}}) is None


def test_trials_are_numbered_from_one_and_the_chosen_one_is_marked():
    found = trials(search_report())
    assert (found.algorithm, found.metric, found.targets) == ("dnas", "accuracy", (BOARD,))
    assert found.rows == (
        TrialRow(1, None, 0.75, 0.25, (TrialCost(1.5, 1536, 3000),), chosen=False),
        TrialRow(2, None, 0.875, 0.125, (TrialCost(2.124, 1536, 3000),), chosen=True),
    )
    assert trials(manifest()) is None
    scored = {**search_report(), "metric": "macro-f1"}
    scored["trials"][0]["valid_scores"] = {"accuracy": 0.75, "macro_f1": 0.5}
    assert [row.decisive for row in trials(scored).rows] == [0.5, None]


def test_ranges_of_real_values_follow_from_scale_mean_and_deviation():
    found = preprocessing(search_report())
    first, second = found.channels
    assert first == Channel(0, 1.0, 2.0, pytest.approx(-9.0), pytest.approx(16.5))
    assert second == Channel(1, -2.0, 0.5, pytest.approx(-4.5), pytest.approx(1.875))
    assert found.classes == ("<b>&", "run", "stand")
    assert preprocessing(manifest()) is None


def test_provenance_names_seed_version_settings_and_files():
    tables = {facts.title: dict(facts.rows) for facts in provenance(search_report())}
    assert tables["Made by"]["tool"] == "tinytailor 0.1.0"
    assert tables["Made by"]["seed"] == "7"
    assert tables["Network"] == {"a.width": "8", "b.branches": "3, 5"}
    assert tables["Settings"] == {"epochs": "2", "latency_ms": "2.5"}
    assert tables["Files"]["C project"] == "run/<project>"
    assert [facts.title for facts in provenance(manifest())] == ["Made by"]
    two = {facts.title: dict(facts.rows) for facts in provenance(for_two_targets())}
    assert two["Files"]["latency table, nucleo-l4r5zi"] == "b.jsonl"


def test_limits_say_what_was_not_done():
    said = " ".join(limits(search_report()))
    assert f"Nothing was measured on a real {BOARD}. Instructions are counted on the emul" in said
    assert "20 test inputs, which took no part in the search" in said
    assert "One seed was tried (7), and 2 networks" in said
    assert "uncalibrated" not in said


def test_limits_of_a_guessed_board_in_qemu_with_an_estimated_cost_say_all_that():
    report = search_report()
    (target,) = report["targets"]
    target["profile"]["provenance"] = {
        **target["profile"]["provenance"],
        "runner": "qemu",
        "board_calibrated": False,
    }
    target["profile"]["float_layers"] = [{"name": "lrn", "operators": ["nn.lrn"]}]
    target["predicted"]["estimated"] = {"text": "estimated for 3 of 9 operators"}
    said = " ".join(limits(report))
    assert f"counted on the {BOARD} in QEMU" in said
    assert f"The constants of {BOARD} are uncalibrated" in said
    assert "Computed in float: lrn." in said
    assert "estimated for 3 of 9 operators" in said
    assert cost(devices(report)[0]).known == "estimated, estimated for 3 of 9 operators"


def test_a_measured_project_is_not_said_to_be_unmeasured():
    measured = {**manifest(), "measured": {"simulated": False}}
    assert "Nothing was measured" not in " ".join(limits(measured))
    simulated = {**manifest(), "measured": {"simulated": True}}
    assert "Nothing was measured" in " ".join(limits(simulated))


@pytest.mark.parametrize(
    ("top", "most", "expected"),
    [(200, 4, [0, 50, 100, 150, 200]), (0.9, 4, [0, 0.5]), (5, 10, [0, 0.5]), (0, 4, [0])],
)
def test_axes_have_round_numbers(top, most, expected):
    assert ticks(top, most)[: len(expected)] == pytest.approx(expected)


@pytest.mark.parametrize("top", [1e-6, 0.37, 1.0, 7.0, 99.0, 1e9])
@pytest.mark.parametrize("most", [4, 10])
def test_axes_have_few_numbers_none_beyond_the_top(top, most):
    levels = ticks(top, most)
    assert len(levels) <= most + 1
    assert levels[-1] <= top * (1 + 1e-9)
    assert len(levels) > 1


def test_axes_of_memory_have_powers_of_two():
    assert byte_ticks(2528, 4) == [0, 1024, 2048]
    assert byte_ticks(39216, 4) == [0, 16384, 32768]
    assert byte_ticks(3, 4) == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [1, 2, 11, 12, 1000])
def test_long_curves_keep_their_ends(count):
    kept = picked(count, 11)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert len(kept) <= 11


def test_numbers_are_written_as_people_read_them():
    assert [size(n) for n in (0, 136, 1024, 3272, 65536, 3 << 19)] == [
        *("0 B", "136 B", "1 KiB", "3.2 KiB", "64 KiB", "1.5 MiB")
    ]
    assert [wide(share) for share in (-1, 0, 1 / 3, 1, 9)] == ["0%", "0%", "33.33%", "100%", "100%"]
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        *("", "a", "a and b", "a, b and c")
    ]


def test_the_front_has_places_and_marks_what_was_chosen():
    assert front(search_report()) is None
    cost = {"ram_bytes": 1000, "flash_bytes": 2000}
    points = [
        {"score": 0.8, "latency_ms": 1.0, "chosen": False, **cost},
        {"score": 0.9, "latency_ms": 3.0, "chosen": True, **cost},
        {"score": 0.85, "latency_ms": 2.0, "chosen": False, **cost},
    ]
    use = {"share": 0.5, "limit": "latency", "device": BOARD, "reason": "larger ones were worse"}
    options = [{"option": [0, 2], "score": 0.7, "folds": [0.7], "stays": False}]
    inputs = [{"decision": "input.sensors", "options": options}]
    report = {**search_report(), "front": points, "use": use, "inputs": inputs}
    found = front(report)
    assert [(row.left, round(row.up, 3), row.chosen) for row in found.rows] == [
        (0.0, 0.0, False),
        (1.0, 1.0, True),
        (0.5, 0.5, False),
    ]
    assert found.use == "The chosen network uses 50.0 % of its latency: larger ones were worse."
    assert found.inputs == (("input.sensors", "0, 2", 0.7, False),)
    text = str(draw_front(found))
    assert text.count("<circle") == 3
    assert text.count("chosen</small>") == 1

"""What a run makes of what it measured: figures, targets, what broke, the file and the tables."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.load import results, table
from tests.load.job import Job, Report, Sent
from tests.load.meter import Meter
from tests.load.process_tree import ProcessTree
from tests.load.session import Session, Tried
from tests.load.starts import StartTime
from tests.load.targets import CAPACITY, Target, targets
from tests.load.windows import Window, filled
from tests.server import ROOT

SCHEMA = json.loads((ROOT / "docs" / "benchmarks.schema.json").read_text())


def window(way: str, clients: int = 8, **changes: Any) -> Window:
    """Ten photos in a second, 100 CPU-ms each, unless it is said otherwise."""
    usual: dict[str, Any] = {
        **{"way": way, "photos": "1080", "clients": clients, "round": 0, "seconds": 1.0, "answers": 10, "cpu_s": 1.0},
        **{"statuses": {"200": changes.get("answers", 10)}, "sources": {"model": 10}, "latencies_ms": [100.0] * 9},
        **{"wall_s": 1.0, "generator_cores": 0.01, "others_cores": 0.02, "pss_mib": 700.0 if clients == 32 else None},
    }
    return Window(**{**usual, **changes})


def overloaded(**changes: Any) -> Window:
    usual: dict[str, Any] = {
        **{"factor": 2.0, "rate": 20.0, "useful": 95, "useful_s": 10.0, "statuses": {"200": 100, "429": 90}},
        **{"refused_ms": [5.0] * 90, "health_ms": [9.0] * 100, "answers": 100},
    }
    return window("service", 0, **{**usual, **changes})


def met(windows: list[Window], starts: list[StartTime] | None = None) -> dict[str, bool]:
    """Name of each target of a run → whether it is met."""
    return {target.name: target.met for target in targets(windows, starts or [], "1080")}


def of(windows: list[Window], words: str) -> Target:
    """The one target with these words in its name."""
    found = [target for target in targets(windows, [], "1080") if words in target.name]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A run in which all ways were measured once."""
    photo = tmp_path / "0.jpg"
    photo.write_bytes(b"photo")
    made = Session(tmp_path, {"1080": [photo], "4000": [photo]}, "1080")
    for way in ("one_process", "limit", "service", "fastapi", "litserve", "bentoml"):
        made.windows += [window(way, clients) for clients in (1, 8, 32)]
        made.windows += [window(way, photos="4000")]
    made.windows += [window(CAPACITY), overloaded(), window(CAPACITY, busy=True), overloaded(busy=True)]
    made.starts.append(StartTime("service", 1.5, 3.0))
    made.tried["limit"] = [Tried("processes 2, threads 1", 10.0, 0.1)]
    made.idle_cores["service"] = 0.01
    return made


def document(session: Session) -> dict[str, Any]:
    machine = {
        **{"cores": 2, "cpu": "a", "memory": "b", "kernel": "c", "python": "d", "others_cores": 0.1},
        **{"versions": {"numpy": "1"}, "peers": {}},
    }
    return results.document(session, 60.0, machine, {"commit": None, "changed": None})


# --- windows --------------------------------------------------------------------------------------------------------


def test_a_window_says_what_became_of_each_request() -> None:
    sent = [Sent(0, due, due, due + 0.5, "answered", 200, "model") for due in (0.0, 0.1, 0.2, 0.3)]
    sent += [Sent(0, 0.4, 0.4, 0.42, "answered", 429), Sent(0, 0.5, 0.5, 2.5, "gave_up"), Sent(0, 1, 1, 1, "lost")]
    sent[3].source = "heuristic"
    meter = Meter(ProcessTree(1))
    meter.cpu_s, meter.machine_s, meter.wall_s = 0.4, 1.0, 2.0
    seen = filled(
        Window("service", "1080", 2, 0), Job(1, "/", [], 3.0, clients=2), Report(sent, 2.5, own_cpu_s=0.1), meter
    )
    assert seen.statuses == {"200": 4, "429": 1, "gave_up": 1, "lost": 1}
    assert (seen.answers, seen.lost, seen.degraded, seen.sources) == (4, 2, 1, {"heuristic": 1, "model": 3})
    assert seen.latencies_ms == [500.0, 500.0]  # without the first of each client
    assert seen.refused_ms == [20.0]
    assert (seen.cpu_ms, seen.per_s) == (100.0, 1.6)
    assert (seen.generator_cores, seen.others_cores) == pytest.approx((0.05, 0.3))


def test_useful_answers_of_an_open_loop_came_once_it_had_settled_and_before_it_ended() -> None:
    sent = [Sent(0, 0.0, 0.0, at, "answered", 200) for at in (1.0, 2.5, 3.5, 5.5)]
    meter = Meter(ProcessTree(1))
    meter.wall_s = 6.0
    seen = filled(Window("service", "1080", 0, 0, factor=2.0), Job(1, "/", [], 5.0, rate=1), Report(sent, 5.5), meter)
    assert seen.useful_per_s == pytest.approx(2 / 3)
    assert len(seen.latencies_ms) == 4


# --- targets --------------------------------------------------------------------------------------------------------


def test_a_service_as_good_as_the_limit_meets_every_target(session: Session) -> None:
    judged = met(session.windows, session.starts)
    missed = {name for name, is_met in judged.items() if not is_met}
    assert missed == {
        f"photos a second over plain BentoML, {clients} clients, none lost or refused" for clients in (8, 32)
    }
    assert len(judged) == 24


def test_cpu_is_compared_within_each_round() -> None:
    windows = [window("one_process", round=number, cpu_s=slow) for number, slow in enumerate((1.0, 2.0, 1.0))]
    windows += [window("service", round=number, cpu_s=1.1 * slow) for number, slow in enumerate((1.0, 2.0, 1.0))]
    cpu = of(windows, "service, CPU a photo")
    assert cpu.met
    assert (cpu.value, cpu.ratio) == pytest.approx((110, 1.1))
    windows[-1].cpu_s = windows[-2].cpu_s = 4.0
    assert not of(windows, "service, CPU a photo").met


def test_in_process_is_compared_with_base_where_there_is_one() -> None:
    ours = [window("one_process", photos=photos, cpu_s=0.5) for photos in ("1080", "4000")]
    assert met(ours) == {}
    theirs = [window("base_one_process", photos=photos, cpu_s=1.0) for photos in ("1080", "4000")]
    theirs[1].cpu_s = 0.9
    assert list(met([*ours, *theirs]).values()) == [True, False]  # 0.5 and 0.56


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"useful": 80}, "useful answers"),
        ({"refused_ms": [10.0] * 90 + [60.0] * 10}, "p95 of 429"),
        ({"degraded": 1}, "degraded answers"),
        ({"health_ms": [5.0] * 98 + [150.0] * 2}, "p99 of /health"),
        ({"health_failed": 1}, "/health not answered"),
    ],
)
def test_each_promise_under_overload_is_judged(changes: dict[str, Any], words: str) -> None:
    assert of([window(CAPACITY), overloaded()], words).met
    assert not of([window(CAPACITY), overloaded(**changes)], words).met


def test_with_one_core_busy_the_capacity_is_that_of_the_machine_as_it_is_then() -> None:
    half = window(CAPACITY, busy=True, answers=5)
    judged = [window(CAPACITY), half, overloaded(busy=True, useful=48)]
    assert of(judged, "with one core busy: useful answers").ratio == pytest.approx(0.96)


def test_a_faster_service_that_loses_answers_has_not_met_the_target() -> None:
    plain = window("bentoml", answers=5)
    assert of([window("service"), plain], "plain BentoML, 8 clients").met
    for end in ("lost", "429"):
        losing = window("service", statuses={"200": 10, end: 1})
        assert not of([losing, plain], "plain BentoML, 8 clients").met


def test_a_tuning_that_was_tried_while_others_were_at_work_is_not_the_slower_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.load.session.CORES", 2)
    assert Tried("disturbed", 8.0, 1.0).per_free_core > Tried("undisturbed", 14.0, 0.0).per_free_core
    assert Tried("alone", 8.0, 1.9).per_free_core == 16.0  # others are never taken to leave nothing


# --- what broke -----------------------------------------------------------------------------------------------------


def test_nothing_broke(session: Session) -> None:
    session.windows.append(window("service", 32, statuses={"200": 10, "429": 3}))  # a refusal is an answer
    assert document(session)["problems"] == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            window("litserve", compared=10, different=1, differences=["0.jpg.source: 1 → 2"]),
            "1 of 10 answers differ: 0.jpg",
        ),
        (
            window("service", statuses={"200": 9, "lost": 1}, answers=9),
            "service, 8 clients, round 1: 1 answers were lost",
        ),
        (window("service", degraded=2), "2 answers came from the heuristics"),
        (overloaded(statuses={"200": 5, "lost": 2}), "service, 2 × capacity, round 1: 2 answers were lost"),
    ],
)
def test_what_breaks_a_run_is_told(session: Session, wrong: Window, told: str) -> None:
    session.windows.append(wrong)
    problems = document(session)["problems"]
    assert len(problems) == 1
    assert told in problems[0]
    assert f"BROKEN: {problems[0]}" in table.report(session)


def test_an_older_commit_may_find_other_things(session: Session) -> None:
    session.windows.append(window("base", compared=10, different=10, differences=["0.jpg.tone: 1 → 2"]))
    told = document(session)
    assert told["problems"] == []
    assert told["comparisons"]["base"]["different"] == 10
    assert "0.jpg.tone: 1 → 2" in table.report(session)


def test_a_server_that_did_not_start_breaks_a_run(session: Session) -> None:
    session.problems.append("litserve did not start: no photo was answered")
    assert document(session)["problems"] == session.problems


# --- the file and the tables ----------------------------------------------------------------------------------------


def test_the_schema_describes_the_file(session: Session) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    written = json.loads(json.dumps(document(session)))
    jsonschema.validate(written, SCHEMA)
    assert written["targets"][0].keys() == {"name", "value", "ratio", "target", "met"}
    written["windows"][0]["answers"] = "ten"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, SCHEMA)


def test_the_schema_knows_every_field_of_the_file(session: Session) -> None:
    """Keys that are not described would pass unseen."""
    assert SCHEMA["additionalProperties"] is False
    assert SCHEMA["properties"].keys() == document(session).keys()
    assert SCHEMA["$defs"]["window"]["properties"].keys() == document(session)["windows"][0].keys()


def test_cpu_comes_first_and_columns_are_aligned(session: Session) -> None:
    lines = table.report(session).splitlines()
    assert lines[0].split() == ["CPU-ms", "a", "photo,", "8", "clients", "1080", "4000", "over", "in", "process"]
    assert lines[3].split() == ["this", "service", "100.0", "100.0", "1.00"]
    assert len({line.rindex(" ") for line in lines[1:7]}) == 1
    assert "MISSED" in table.report(session)


def test_windows_in_which_others_were_at_work_are_told(session: Session) -> None:
    assert "DISTURBED" not in table.report(session)
    session.windows[3].others_cores = 0.9
    assert f"DISTURBED: in 1 of {len(session.windows) - 2} windows others used over 0.2 of a core" in table.report(
        session
    )

"""The tracker as a page: what it says, that nothing in the record can break out of it, that it loads nothing."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from bentos.skin.settings import Phase
from deploy.cli.record import LONGEST_NOTE
from deploy.record import page
from deploy.record.drawing import TALL, WIDE, Shape
from deploy.record.progress import compute
from deploy.record.text import duration, gate_value
from deploy.record.trail import Attempt, Note, Record
from tests.rollout.records import EXPECTED, JANE, at, attempt, complete, empty, failed, gates, half_way, image, record

NOW = at(1510)
EXAMPLES = {item.__name__: item for item in (empty, half_way, failed, complete)}
EVIL = (
    "</style></pre>`|\\<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))"
    "\"'&\u202e\x1b[2J\ud83d"
)


class Tags(HTMLParser):
    """Which tags and attributes a page has, and whether they fit into one another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens."""
        self.names.add(tag)
        self.attributes |= {f"{tag} {name}" for name, _ in attrs}
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens and closes."""
        self.names.add(tag)
        self.attributes |= {f"{tag} {name}" for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        """Closes what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What people read, and styles."""
        self.text += f" {data}"


def html(one: Record) -> str:
    return page.html(one, compute(one, EXPECTED, now=NOW))


def markdown(one: Record) -> str:
    return page.markdown(one, compute(one, EXPECTED, now=NOW))


def evil() -> Record:
    """A record that others wrote, with no good in mind."""
    gate = gates("hybrid", 1, title=EVIL, sentence=EVIL, value={EVIL: [EVIL]}, limit=EVIL)
    extra = gates("hybrid", 1, name=EVIL)[:1]
    bad: dict[str, Any] = {"who": EVIL, "host": EVIL, "sentence": EVIL, "cause": EVIL, "evidence": [EVIL] * 3}
    return record(
        [
            attempt("a0", "simple", **bad, deployed=image(f"sha256:{EVIL}")),
            attempt("a1", "simple", **bad, gates=gates("simple", title=EVIL)),
            attempt("a2", "hybrid", "gate_failed", 30, gates=[*gate, *extra], back_to="a1", **bad),
        ],
        [Note(who=EVIL, at=at(2), text=EVIL)],
    ).model_copy(update={"service": EVIL, "cluster": EVIL, "region": EVIL, "account": EVIL})


def test_markdown_says_what_the_record_says() -> None:
    page_text = markdown(failed())
    assert page_text.startswith(
        "# The snail trail of shine-api-gateway\n\nCluster shine-ml-cluster, account 123456789012"
    )
    assert (
        "**Progress: 8 of 19 gates (42 %)**, started 3 Nov 2026, 12:04 UTC.\n\n"
        "- Runs: Phase simple with image sha256:9f2c9f2c9f2c, proven 3 Nov 2026, 12:11 UTC. It runs again since hybrid "
        "was rolled back.\n"
        "- Next: `trail why` (sha256:9f2c9f2c9f2c failed last in phase hybrid (metrics\\_there); \\`trail why\\` says "
        "why. If the image is the reason, build another: \\`trail up --to hybrid --image IMAGE\\`. If the plan or the "
        "account is, correct it, and run \\`trail preflight\\` before you try the same image again.)\n\n"
        "| phase | marker | state | gates | started | proven | took | image |\n"
        "|---|---|---|---|---|---|---|---|\n"
        "| 1 simple | 🎯 Starting line: basic system operational | proven | 5/5 | 3 Nov 2026, 12:04 UTC | "
        "3 Nov 2026, 12:11 UTC | 7 min | `sha256:9f2c9f2c9f2c` |\n"
        "| 2 hybrid |  | failed | 3/4 | 3 Nov 2026, 12:34 UTC |  |  | `sha256:9f2c9f2c9f2c` |\n"
        "| 3 foundation |  | not begun | 0/4 |  |  |  |  |\n"
        "| 4 full |  | not begun | 0/6 |  |  |  |  |\n"
    ) in page_text
    assert (
        "## 2 hybrid: failed\n\n"
        "- Reached: These gates passed at the last check: Stable, Status tells, Degradation proven.\n"
        "- Problem: Metrics there did not hold within 180 s: /metrics answers 404. (`metrics_there`)\n"
        "- Next: `trail why`\n\n"
        "| gate | result | measured | required |\n"
        "|---|---|---|---|\n"
        "| Stable | ✓ passed | 2 | 2 |\n"
    ) in page_text
    assert "| Metrics there | ✗ **failed** | 1 | 2 |\n" in page_text
    assert (
        "### 3 Nov 2026\n\n- 12:46 Phase hybrid was rolled back: a gate failed. It took 12 min; 3 of 4 gates passed."
        in page_text
    )
    assert page_text.endswith("was started by user/jane.\n")


def test_markdown_lists_decisions_with_who_and_when() -> None:
    assert (
        "## Decisions\n\n- 3 Nov 2026, 13:04 UTC, user/jane: 2048 MiB from now on; the model needs 900 when it loads.\n"
    ) in markdown(half_way())


def test_html_says_the_same() -> None:
    text = re.sub(" ([,.])", r"\1", " ".join(Tags(html(failed())).text.split()))
    for sentence in (
        "42 %",
        "8 of 19 passed",
        "It runs again since hybrid was rolled back.",
        "trail why sha256:9f2c9f2c9f2c failed last in phase hybrid (metrics_there); `trail why` says why.",
        "Metrics there did not hold within 180 s: /metrics answers 404. metrics_there",
        "GET /metrics → 404 Not Found",
        "1 of 2 tasks shows metrics_there; look at its log.",
        "🎯 Starting line user/jane, 3 Nov 2026, 12:11 UTC, 7 min after the start",
        "12:46 Phase hybrid was rolled back: a gate failed",
        "As of 4 Nov 2026, 13:14 UTC.",
    ):
        assert sentence in text
    assert "🔍" not in text


def test_an_empty_record_makes_a_page_that_says_how_to_begin() -> None:
    for page_text in (html(empty()), markdown(empty())):
        assert "No phase has been started yet." in page_text
        assert "trail up simple --digest sha256:…" in page_text


def test_a_trail_that_is_proven_to_its_end_says_so_and_has_all_markers() -> None:
    for page_text in (html(complete()), markdown(complete())):
        assert "All four phases are proven." in page_text
        assert all(sign in page_text for sign in "🎯🔍🏆")
        assert "🏗️" in page_text


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_loads_nothing_runs_nothing_and_is_whole(name: str) -> None:
    page_text = html(EXAMPLES[name]())
    tags = Tags(page_text)
    assert tags.open == []
    assert not tags.names & {"script", "link", "img", "iframe", "object", "form", "use", "image"}
    assert not {
        attribute
        for attribute in tags.attributes
        if attribute.split()[1].startswith("on") or attribute.endswith((" href", " src"))
    }
    assert not re.search(r"url\(|@import|https?:", page_text)
    assert "default-src 'none'" in page_text
    assert 'name="viewport"' in page_text
    assert "prefers-color-scheme: dark" in page_text


def test_hostile_text_is_inert_in_html() -> None:
    page_text = html(evil())
    tags, good = Tags(page_text), Tags(html(failed()))
    assert tags.names <= good.names | Tags(html(half_way())).names
    assert tags.attributes <= good.attributes
    assert page_text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 15
    assert "\u202e" not in page_text
    assert "\x1b" not in page_text
    page_text.encode("utf-8")


def test_the_longest_decision_is_whole_on_both_pages() -> None:
    note = Note(who=JANE, at=at(0), text="word " * (LONGEST_NOTE // 5 - 1) + "last.")
    for page_text in (html(record(notes=[note])), markdown(record(notes=[note]))):
        assert note.text in page_text.partition("Decisions")[2].partition("Log")[0]


def test_a_template_that_asks_for_a_value_that_is_not_there_fails() -> None:
    with pytest.raises(UndefinedError):
        page.MARKDOWN.from_string("{{ record.servise }}").render(record=empty())


def test_hostile_text_is_inert_in_markdown() -> None:
    page_text = markdown(evil())
    made = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(page_text)
    tags, good = Tags(made), Tags(MarkdownIt("gfm-like", {"linkify": False}).render(markdown(half_way())))
    assert tags.names <= good.names
    assert tags.attributes <= good.attributes  # no link was made
    assert made.count("<h2>") == 6
    assert {line.count("|") - line.count("\\|") for line in page_text.splitlines() if line.startswith("| ")} <= {5, 9}
    page_text.encode("utf-8")


def test_a_hostile_log_line_stays_on_its_line() -> None:
    page_text = markdown(record([attempt("a1", "simple", "gate_failed", sentence="one\n## 4 full: proven\n\n- two")]))
    assert "\n## 4 full: proven" not in page_text
    assert "one ## 4 full: proven - two" in page_text


@pytest.mark.parametrize("shape", [WIDE, TALL], ids=lambda one: one.name)
def test_the_snail_comes_further_with_each_gate_and_to_no_sign_without_a_proof(shape: Shape) -> None:
    walked: list[int] = []
    done: list[Attempt] = []
    for phase in EXPECTED:
        for number in range(len(EXPECTED[phase]) + 1):
            walked.append(
                points_walked(shape, [*done, attempt("now", phase, "running", 20, gates=gates(phase, number))])
            )
        done.append(attempt(phase, phase, begin=10 * len(done)))
        walked.append(points_walked(shape, done))
    assert len(walked) == 19 + 2 * 4
    assert all(item < other for item, other in pairwise(walked))


def points_walked(shape: Shape, attempts: list[Attempt]) -> int:
    drawn = page.trail_svg(compute(record(attempts), EXPECTED), shape)
    result = re.search(r'class="walked" d="([^"]*)"', drawn)
    return len(result[1].split("L")) if result else 0


def test_a_stone_lies_where_it_failed_and_nowhere_else() -> None:
    assert page.trail_svg(compute(failed(), EXPECTED), WIDE).count('class="stone"') == 1
    for value in (empty(), half_way(), complete()):
        assert 'class="stone"' not in page.trail_svg(compute(value, EXPECTED), WIDE)


def test_a_picture_has_a_text_for_those_who_do_not_see_it() -> None:
    assert (
        'role="img" aria-label="The trail: 1 simple proven, 2 hybrid failed, 3 foundation not begun, '
        '4 full not begun. 8 of 19 gates passed."'
    ) in page.trail_svg(compute(failed(), EXPECTED), WIDE)


TEXTS: dict[str, list[str]] = {  # by what they stand on
    "paper": ["ink", "soft"],
    "card": ["ink", "soft", "bad"],
    "code": ["ink"],
    "good-soft": ["ink", "good"],
    "busy-soft": ["busy"],
    "bad-soft": ["bad"],
    "idle-soft": ["soft"],
    "ground": ["label"],
    "near": ["label"],
    "far": ["label"],
}


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", TEXTS)
def test_text_can_be_read(scheme: int, ground: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    block = re.findall(r":root \{(.*?)\n *\}", page.CSS.read_text(), re.S)[scheme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    for text in TEXTS[ground]:
        dark, light = sorted(luminance(colours[name]) for name in (text, ground))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, text


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86399, "23 h 59 min"),
        (86400, "1 d"),
        (100_000, "1 d 3 h"),
        (-5, "0 s"),
    ],
)
def test_durations_are_written_as_people_do(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (12345.6, "12346"),
        (7, "7"),
        ("a\nb", "a b"),
        ([], "[]"),
        ({"p95_ms": 310.04, "ok": False}, "p95_ms 310, ok no"),
        ([1, "two"], "1, two"),
        (float("nan"), "nan"),
    ],
)
def test_values_of_gates_fit_on_a_line(value: Any, expected: str) -> None:
    assert gate_value(value) == expected


def test_all_days_are_in_the_log_and_old_ones_folded() -> None:
    phases: list[Phase] = ["simple"] * 9
    page_text = html(record([attempt(f"a{day}", phase, begin=1440 * day) for day, phase in enumerate(phases)]))
    assert page_text.count('<details class="day" open>') == page.OPEN_DAYS
    assert page_text.count('<details class="day"') == 9


def test_a_trimmed_attempt_says_so() -> None:
    one = attempt("a1", "simple", "gate_failed", trimmed=True)
    assert "(The evidence was removed because the record had become too large.)" in html(record([one]))


def test_a_decision_names_who_took_it() -> None:
    assert "user/jane" in html(record(notes=[Note(who=JANE, at=at(0), text="So be it.")]))

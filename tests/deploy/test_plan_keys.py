"""What hints tell people to write into the plan, the plan takes: it refuses every key that it does not know."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import deploy
from deploy.config.plan import keys_at
from deploy.findings.catalog import CODES

ANY = "*"  # what stands where a sentence puts in a value
OF_THE_PLAN = re.compile(r"\bplan\b|trail\.yaml")
DOTTED = re.compile(r"(?<![\w./:*-])[a-z_]+(?:\.(?:[a-z_]+|\*))+(?![\w/*-])")
SNAKE = re.compile(r"(?<![\w./:*-])[a-z]+(?:_[a-z]+)+(?![\w./*-])")
AFTER_A_VERB = re.compile(
    r"\b(?:[Cc]orrect|[Rr]aise|[Ss]et) (`?[\w.*]+`?(?:(?:, | or | and )`?[\w.*]+`?)*) in the plan"
)
PLACE = re.compile(r"^plan: ([\w.]+)")
# Of the image's contract, of files, of VPC endpoints, of a policy of autoscaling: in the same sentence as the plan.
OTHERS = {"trail.yaml", "manifest.json", "current.json", "seconds.stop", "minimum.memory_mib", "ecr.api", "ecr.dkr"}


def sentences() -> Iterator[tuple[str, str]]:
    """(file, text) of each string in the code that is no docstring; with `*` for what is put in."""
    package = Path(deploy.__file__).parent
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text())
        parts: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                parts |= {id(item.value) for item in node.body[:1] if isinstance(item, ast.Expr)}
            if isinstance(node, ast.JoinedStr):
                parts |= {id(part) for part in node.values}
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else ANY for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                text = node.value
            else:
                continue
            if OF_THE_PLAN.search(text):
                yield path.relative_to(package).as_posix(), text
    for code in CODES.values():
        yield f"findings/codes.toml: {code.code}", f"{code.title}. {code.why}"


def named(text: str) -> set[str]:
    """Keys of the plan that a sentence names."""
    result = {*DOTTED.findall(text), *SNAKE.findall(text), *PLACE.findall(text)}
    for words in AFTER_A_VERB.findall(text):
        result |= set(re.split(r", | or | and ", words.replace("`", "")))
    return result - OTHERS


def is_a_key(name: str) -> bool:
    """Whether the plan takes it: from its top, or within a phase."""
    return any(fits(place, name.split(".")) for place in ((), ("phases", "simple")))


def fits(place: tuple[str, ...], parts: list[str]) -> bool:
    return all(part == ANY or part in keys_at((*place, *parts[:number])) for number, part in enumerate(parts))


def test_every_key_of_the_plan_that_a_sentence_names_is_one() -> None:
    wrong = [f"{file}: {name} in {text!r}" for file, text in sentences() for name in named(text) if not is_a_key(name)]
    assert wrong == []


def test_the_keys_in_sentences_are_found() -> None:
    """Some of each part that gives hints; else the test above would prove nothing."""
    result = {name for _, text in sentences() for name in named(text)}
    assert result >= {
        "size.most_tasks",  # of gates
        "gates.golden",
        "weights.sha256",  # of checks
        "account",  # of what is asked of AWS
        "roles.*",
        "network.security_groups",
        "health.start_period",  # of causes
        "infra.adopt.key",
        "stop_timeout",
        "region",
    }


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("size.most_tasks", True),
        ("infra.adopt.key", True),
        ("gates.golden", True),
        ("roles.*", True),
        ("infra.autoscaling", False),
        ("autoscaling.tasks", False),
        ("sizes.tasks", False),
        ("stop_timeouts", False),
    ],
)
def test_a_key_is_one_where_the_plan_takes_it(name: str, known: bool) -> None:
    assert is_a_key(name) is known

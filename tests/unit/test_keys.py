"""Keys: entries plain and hashed, every one compared, and the command that makes them."""

import hashlib
import io
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin.keys import Entry, KeyUnusable, hashed, is_short, main, matching_entry, read_entry

KEY = "a-key-of-the-tests-4711"


def test_a_hashed_entry_is_salt_and_sha256_of_salt_and_key() -> None:
    salt = bytes(range(16))
    text = f"sha256:{salt.hex()}:{hashlib.sha256(salt + KEY.encode()).hexdigest()}"
    entry = read_entry(text)
    assert entry.fits(KEY.encode())
    assert str(entry) == text


@pytest.mark.parametrize("entry", [read_entry(KEY), hashed(KEY), read_entry(str(hashed(KEY)))])
def test_an_entry_fits_its_key_and_nothing_near_it(entry: Entry) -> None:
    assert entry.fits(KEY.encode())
    for near in (b"", KEY[:-1], KEY + "x", KEY.upper(), str(entry), entry.digest.hex(), "sha256:" + KEY, " " + KEY):
        assert not entry.fits(near if isinstance(near, bytes) else near.encode())


def test_equal_keys_have_different_entries() -> None:
    assert str(hashed(KEY)) != str(hashed(KEY))


@given(st.binary(max_size=64))
def test_no_other_bytes_fit(given: bytes) -> None:
    assert read_entry(KEY).fits(given) is (given == KEY.encode())


def test_which_tells_the_place_of_the_key() -> None:
    entries = [read_entry(KEY), hashed(KEY[::-1]), read_entry(KEY + "-third")]
    assert [matching_entry(entries, key.encode()) for key in (KEY, KEY[::-1], KEY + "-third")] == [0, 1, 2]
    assert matching_entry(entries, b"another") is None
    assert matching_entry([], KEY.encode()) is None


def test_every_entry_is_compared_in_constant_time_wherever_the_key_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [read_entry(f"{KEY}-{number}") for number in range(5)]
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, other: bytes) -> bool:
        compared.append((given, other))
        return given == other

    monkeypatch.setattr("bentos.skin.keys.hmac.compare_digest", compare)
    for sent in (f"{KEY}-0".encode(), f"{KEY}-4".encode(), b"", b"unknown" * 1000):
        compared.clear()
        matching_entry(entries, sent)
        assert [other for _, other in compared] == [entry.digest for entry in entries]
        assert {len(given) for given, _ in compared} == {32}  # digests: the length of the key tells nothing either


@pytest.mark.parametrize("text", ["", "key with spaces in it", "a,key,with,commas,in,it", "sha256:x:y"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(KeyUnusable) as error:
        read_entry(text)
    assert not text or text not in str(error.value)


def test_a_plain_key_that_could_be_guessed_is_let_in_and_known_for_it() -> None:
    assert read_entry("tiny").fits(b"tiny")
    assert is_short("tiny")
    assert not is_short("x" * 16)
    assert not is_short(str(read_entry("tiny")))


def test_the_command_makes_a_new_key_each_time_and_an_entry_that_fits_it(capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for _ in range(2):
        assert main(["--json"]) == 0
        made.append(json.loads(capsys.readouterr().out))
    assert made[0]["key"] != made[1]["key"]
    for key in made:
        assert key.keys() == {"key", "entry"}
        assert len(key["key"]) == 43  # 256 bits in base64
        assert read_entry(key["entry"]).fits(key["key"].encode())


def test_the_command_says_where_each_goes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    key, entry = (next(line.split()[1] for line in lines if line.startswith(word)) for word in ("key ", "entry "))
    assert read_entry(entry).fits(key.encode())
    text = " ".join(lines)
    assert "X-API-Key" in text
    assert "SHINE_API_KEYS" in text


@pytest.mark.parametrize("options", [["--hash"], ["--hash", "--json"]])
def test_the_command_hashes_the_key_on_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{KEY}\n"))
    assert main(options) == 0
    out = capsys.readouterr().out
    assert KEY not in out
    entry = json.loads(out)["entry"] if "--json" in options else out.strip()
    assert read_entry(entry).fits(KEY.encode())


@pytest.mark.parametrize("given", ["", "\n", "too-short-secret"[:15]])
def test_the_command_refuses_a_key_that_could_be_guessed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    assert main(["--hash"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "shorter than 16 characters" in output.err
    assert not given.strip() or given not in output.err


def test_the_command_runs_without_the_framework() -> None:
    script = "import sys; from bentos.skin.keys import main; main([]); print({'bentoml', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert done.stderr == ""

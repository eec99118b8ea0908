"""Settings: typed, none silently ignored, each mistake told in one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.skin import settings as config
from bentos.skin.settings import PREFIX, Settings, SettingsError, read


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as error:
        read(environ)
    return str(error.value)


def test_nothing_set_is_phase_hybrid_with_the_contracts_numbers() -> None:
    settings = read({"PATH": "/bin"})
    assert settings == Settings()
    assert (settings.phase, settings.max_pending, settings.quality, settings.log_format) == (
        "hybrid",
        32,
        "normal",
        "json",
    )
    assert (settings.model_deadline_s, settings.request_deadline_s) == (2.0, 10.0)
    assert (settings.max_photo_bytes, settings.max_pixels) == (10 * 2**20, 40_000_000)


def test_a_misspelt_name_stops_the_start_with_the_nearest_right_one() -> None:
    assert refusal(SHINE_PHAZE="full") == "SHINE_PHAZE is not a setting of this service; did you mean SHINE_PHASE?"


def test_a_name_like_no_other_is_answered_with_all_there_are() -> None:
    message = refusal(SHINE_XYZZY="1")
    assert message.startswith("SHINE_XYZZY is not a setting of this service; known are ")
    assert all(PREFIX + name.upper() in message for name in Settings.model_fields)


def test_a_name_in_the_wrong_case_is_not_silently_ignored() -> None:
    assert "did you mean SHINE_PHASE?" in refusal(shine_phase="full")


@pytest.mark.parametrize(
    "name",
    ["SHINE_SERVICE_HOST", "SHINE_PORT", "SHINE_PORT_5000_TCP", "SHINE_PORT_5000_TCP_ADDR", "SHINE_API_SERVICE_PORT"],
)
def test_names_that_platforms_inject_are_ignored(name: str) -> None:
    assert read({name: "tcp://10.0.0.1:5000"}) == Settings()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_value_means_not_set(name: str) -> None:
    assert read({PREFIX + name.upper(): ""}) == read({PREFIX + name.upper(): "  "}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHINE_PHASE", "production"),
        ("SHINE_WEIGHTS_SHA256", "abc"),
        ("SHINE_WEIGHTS_SHA256", "G" * 64),
        ("SHINE_MAX_PENDING", "0"),
        ("SHINE_MAX_PENDING", "many"),
        ("SHINE_MAX_BATCH_SIZE", "1"),
        ("SHINE_MAX_BATCH_SIZE", "65"),
        ("SHINE_THREADS", "-1"),
        ("SHINE_MAX_BODY_MIB", "0"),
        ("SHINE_MAX_BODY_MIB", "nan"),
        ("SHINE_MIN_UPLOAD_KIB_S", "0"),
        ("SHINE_MIN_UPLOAD_KIB_S", "inf"),
        ("SHINE_UPLOAD_GRACE_S", "0"),
        ("SHINE_REQUIRE_MODEL", "perhaps"),
        ("SHINE_MODEL_DEADLINE_MS", "9"),
        ("SHINE_LOG_FORMAT", "xml"),
        ("SHINE_QUALITY", "STRICT"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_name_and_itself(name: str, value: str) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"{name} is {value!r}, which cannot be used: ")
    assert "\n" not in message


@pytest.mark.parametrize(("value", "means"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_switches_are_read_as_people_write_them(value: str, means: bool) -> None:
    assert read({"SHINE_REQUIRE_MODEL": value}).require_model is means


def test_lists_are_comma_separated_and_forgive_spaces() -> None:
    settings = read(
        {
            "SHINE_API_KEYS": "the-first-of-two, the-second-of-two,,",
            "SHINE_CORS_ORIGINS": "https://a.example , https://b.example",
        }
    )
    assert [key.get_secret_value() for key in settings.api_keys] == ["the-first-of-two", "the-second-of-two"]
    assert settings.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://app.example.com:8443",
        "http://app.example.com:443",
        "https://xn--mnchen-3ya.example",
        "https://under_score.example",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "http://tauri.localhost",
        "myapp://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ],
)
def test_an_origin_as_browsers_and_apps_send_it_is_taken(origin: str) -> None:
    assert read({"SHINE_CORS_ORIGINS": origin}).cors_origins == (origin,)


@pytest.mark.parametrize(
    ("origin", "right"),
    [
        ("https://App.example.com", "https://app.example.com"),
        ("HTTPS://app.example.com", "https://app.example.com"),
        ("Capacitor://localhost", "capacitor://localhost"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("https://app.example.com:08443", "https://app.example.com:8443"),
        ("https://app.example.com:", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com/demo?a=b#c", "https://app.example.com"),
        ("https://app.example.com?a", "https://app.example.com"),
        ("capacitor://localhost/", "capacitor://localhost"),
        ("https://user:secret@app.example.com", "https://app.example.com"),
        ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
        ("http://[FE80::A]", "http://[fe80::a]"),
        ("HTTPS://App.Example.com:443/Demo", "https://app.example.com"),
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused_with_the_right_form(origin: str, right: str) -> None:
    assert refusal(SHINE_CORS_ORIGINS=f"https://a.example,{origin}").endswith(f"write {right!r}.")
    assert read({"SHINE_CORS_ORIGINS": right}).cors_origins == (right,)


@pytest.mark.parametrize(
    ("origin", "because"),
    [
        ("*", "e.g. https://app.example.com"),
        ("https://*.example.com", "e.g. https://app.example.com"),
        ("app.example.com", "e.g. https://app.example.com"),
        ("shine.example:8443/demo", "e.g. https://shine.example:8443"),
        ("//app.example.com", "e.g. https://app.example.com"),
        ("https://", "e.g. https://app.example.com"),
        ("https:///demo", "e.g. https://app.example.com"),
        ("https://a.example https://b.example", "e.g. https://app.example.com"),
        ("https://a.example;https://b.example", "list each"),
        ("'https://a.example'", "list each"),
        ("null", "sandboxed frames"),
        ("https://münchen.example", "xn--"),
        ("https://[::g]", "list each"),
        ("https://[::1::2]", "no IPv6 address"),
        ("https://app.example.com:65536", "no port"),
        ("file:///index.html", "list each"),
        ("file://localhost", "did you mean https://localhost?"),
        ("wss://app.example.com", "did you mean https://app.example.com?"),
        ("htps://app.example.com", "did you mean https://app.example.com?"),
        ("capacitator://localhost", "did you mean capacitor://localhost?"),
        ("taurí://localhost", "list each"),
    ],
)
def test_what_is_no_origin_is_refused_with_one(origin: str, because: str) -> None:
    message = refusal(SHINE_CORS_ORIGINS=origin)
    assert message.startswith(f"SHINE_CORS_ORIGINS is {origin!r}, which cannot be used: ")
    assert because in message
    assert "\n" not in message


def test_private_networks_are_about_the_pages_of_listed_origins() -> None:
    assert "SHINE_CORS_ORIGINS, which is not set" in refusal(SHINE_CORS_PRIVATE_NETWORK="true")
    environment = {"SHINE_CORS_PRIVATE_NETWORK": "true", "SHINE_CORS_ORIGINS": "https://a.example"}
    assert read(environment).cors_private_network
    assert not read({"SHINE_CORS_PRIVATE_NETWORK": "false"}).cors_private_network


def test_keys_show_in_no_text_of_the_settings() -> None:
    settings = read({"SHINE_API_KEYS": "very-secret-indeed"})
    assert "very-secret-indeed" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("keys", "because"),
    [
        ("short-and-secret", None),
        ("long-enough-and-secret,short!", None),  # the log warns
        ("schlüssel-and-secret", "entry 1 of 1 has characters other than visible ASCII"),
        ("long enough and secret", "entry 1 of 1 has characters other than visible ASCII"),
        (f"sha256:{'5' * 32}:{'a' * 64}", None),
        (f"SHA256:{'5' * 32}:{'A' * 64}, short-and-secret", None),
        (f"sha256:{'5' * 32}:{'a' * 63}-secret", "entry 1 of 1 starts like a hashed key but is not"),
        (f"sha256:{'5' * 30}:{'a' * 64}", "entry 1 of 1 starts like a hashed key but is not"),
        ("sha256:secret-and-long-enough", "entry 1 of 1 starts like a hashed key but is not"),
        (",", "it names no key"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_without_showing_it(keys: str, because: str | None) -> None:
    if because is None:
        assert len(read({"SHINE_API_KEYS": keys}).api_keys) == keys.count(",") + 1
        return
    message = refusal(SHINE_API_KEYS=keys)
    assert message.startswith(f"SHINE_API_KEYS cannot be used: {because}")
    assert "secret" not in message
    assert "a" * 60 not in message


def test_a_rate_needs_keys_to_count_by() -> None:
    settings = read({"SHINE_RATE_PER_MINUTE": "60", "SHINE_API_KEYS": "long-enough-and-secret"})
    assert settings.rate_per_minute == 60
    assert read({"SHINE_RATE_PER_MINUTE": "0"}).rate_per_minute == 0
    message = refusal(SHINE_RATE_PER_MINUTE="60")
    assert message == (
        "SHINE_RATE_PER_MINUTE is '60', which cannot be used: it counts by API key, and SHINE_API_KEYS is not set."
    )


def test_keys_that_cannot_be_used_are_told_before_the_rate_that_counts_by_them() -> None:
    assert refusal(SHINE_RATE_PER_MINUTE="60", SHINE_API_KEYS="sha256:1").startswith("SHINE_API_KEYS cannot be used")


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read({}).phase = "full"  # type: ignore[misc]


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", min_size=1, max_size=20))
def test_no_name_with_the_prefix_is_ever_silently_ignored(rest: str) -> None:
    name = PREFIX + rest
    if name.removeprefix(PREFIX).lower() in Settings.model_fields or config.INJECTED.fullmatch(name):
        return
    assert name in refusal(**{name: "1"})


def test_a_wrong_setting_stops_the_process_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHINE_PHASE", "production")
    config.settings.cache_clear()
    try:
        with pytest.raises(SystemExit) as stop:
            config.settings()
    finally:
        config.settings.cache_clear()
    assert str(stop.value).startswith("shine: SHINE_PHASE is 'production', which cannot be used: ")


def test_the_port_is_5000_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    assert config.port() == config.PORT == 5000
    monkeypatch.setenv("PORT", "8080")
    assert config.port() == 8080


@pytest.mark.parametrize("text", ["0", "65536", "http", "-1", "80.5", "²"])
def test_a_port_that_cannot_be_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(SystemExit, match="PORT is"):
        config.port()

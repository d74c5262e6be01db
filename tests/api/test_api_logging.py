import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.observability.events import KEYS, Event
from api.observability.logs import WITHHELD, Log

CANARIES = [
    "Apolline Rousselin",
    "apolline@example.com",
    "+33 6 39 98 12 34",
    "+33639981234",
    "0639981234",
    "12 rue de la Paix",
    "郭美玲",
    "1984051712",
    "line\nbreak",
]


class FixedClock:
    def now(self):
        return 1_790_000_000


@pytest.fixture
def stream():
    return io.BytesIO()


@pytest.fixture
def log(stream):
    return Log(FixedClock(), stream=stream)


@pytest.fixture
def libraries(log):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    log.adopt_libraries()
    yield
    root.handlers[:], root.level = before


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_key_that_is_not_on_the_list_is_dropped_and_counted(log, stream):
    log.info(Event.REQUEST, email="a@example.com", reference="ref_1", route="/v1/subjects")
    (line,) = lines(stream)
    assert set(line) == {"event", "level", "time", "route", "dropped"}
    assert line["dropped"] == log.dropped == 2


@pytest.mark.parametrize("value", CANARIES)
@pytest.mark.parametrize("key", ["code", "route", "brand", "system", "error", "request_id"])
def test_a_value_that_looks_like_a_person_is_withheld_under_any_key(log, stream, key, value):
    log.info(Event.REQUEST, **{key: value})
    assert lines(stream)[0][key] == WITHHELD


@pytest.mark.parametrize("value", [b"bytes", ["a"], {"a": 1}, object(), ValueError("a@example.com")])
def test_only_plain_values_are_written(log, stream, value):
    log.info(Event.REQUEST, code=value)
    assert lines(stream)[0]["code"] == WITHHELD


@given(st.text(), st.text())
def test_no_text_breaks_a_line_or_adds_a_key(key, value):
    stream = io.BytesIO()
    Log(FixedClock(), stream=stream).info(Event.REQUEST, code=value, **({key: value} if key.isidentifier() else {}))
    (line,) = lines(stream)
    assert line.keys() <= KEYS


def test_an_event_that_is_not_on_the_list_cannot_be_written(log):
    with pytest.raises(ValueError, match="not a valid Event"):
        log.info("made.up")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("route", "/v1/subjects/{reference}"),
        ("code", "invalid_dpop_proof"),
        ("request_id", "6f9619ff-8b86-4011-b42d-00cf4fc964ff"),
        ("request_id", "11111111111111111111111111111111"),
        ("system", "aurelle-pos"),
        ("ms", 1.5),
        ("status", 200),
        ("at", "vault.unit:120"),
    ],
)
def test_what_operators_need_is_written(log, stream, key, value):
    log.info(Event.REQUEST, **{key: value})
    assert lines(stream)[0][key] == value


def test_levels_below_the_threshold_are_not_written(stream):
    log = Log(FixedClock(), level="warning", stream=stream)
    log.debug(Event.REQUEST)
    log.info(Event.REQUEST)
    log.warning(Event.REQUEST)
    log.error(Event.REQUEST)
    assert [line["level"] for line in lines(stream)] == ["warning", "error"]


def test_a_librarys_words_are_not_written(stream, libraries):
    logging.getLogger("sqlalchemy.engine").error("Key (email)=(%s) already exists", "a@example.com")
    logging.getLogger("uvicorn.access").info("GET /v1/subjects/ref_1")
    logging.getLogger("uvicorn.error").info("Uvicorn running")
    try:
        {}["a@example.com"]
    except KeyError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    text = stream.getvalue().decode()
    assert "example.com" not in text
    assert "ref_1" not in text
    first, second = lines(stream)
    assert (first["event"], first["logger"], first["level"]) == ("library.message", "sqlalchemy.engine", "error")
    assert second["error"] == "KeyError"
    assert second["at"].startswith("test_api_logging:")

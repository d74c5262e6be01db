import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from api import settings
from api.settings import InvalidSettings, Settings, load


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """No variable of ours, and no .env to find."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("ECRIN_")]:
        monkeypatch.delenv(name)


def findings(overrides=None):
    with pytest.raises(InvalidSettings) as caught:
        load(overrides)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value.findings


def about(overrides):
    return {finding.split(":")[0].split(",")[0] for finding in findings(overrides)}


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "vault.internal"])  # noqa: S104
def test_beyond_loopback_the_proxies_must_be_named_and_the_url_secure(host):
    assert len([finding for finding in findings({"host": host}) if finding.startswith("host")]) == 2
    assert about({"host": host, "public_url": "https://vault.example"}) == {"host"}
    assert about({"host": host, "trusted_proxies": "192.0.2.1"}) == {"host"}


@pytest.mark.parametrize("url", ["http://vault.example", "http://192.0.2.7:8420", "http://127.0.0.1.evil.example"])
def test_plain_http_beyond_loopback_is_refused(url):
    assert about({"public_url": url}) == {"public_url", "issuer", "console_url", "portal_url"}


@pytest.mark.parametrize(
    "url",
    [
        "vault.example",
        "ftp://vault.example",
        "https://",
        "https://user:secret@vault.example",
        "https://vault.example/path",
        "https://vault.example?x=1",
        "https://vault.example#x",
        "https://VAULT.example",
        "https://vault.example:port",
        "https://va%75lt.example",
        "https://[::1",
    ],
)
def test_a_public_url_that_callers_could_read_differently_is_refused(url):
    assert "public_url" in about({"public_url": url})


@pytest.mark.parametrize("proxies", ["everywhere", "0.0.0.0/0", "::/0", "192.0.2.1,*"])
def test_the_whole_internet_is_no_proxy(proxies):
    assert "trusted_proxies" in about({"trusted_proxies": proxies})


@pytest.mark.parametrize(
    "url",
    [
        "mysql://db/ecrin",
        "nonsense",
        "postgresql+psycopg://ecrin:hunter2@db/ecrin",
        "postgresql+psycopg://db/ecrin?password=hunter2",
        "postgresql+psycopg://db/ecrin?sslpassword=hunter2",
    ],
)
def test_a_database_url_with_a_password_or_another_engine_is_refused_and_not_repeated(url):
    found = findings({"database_url": url})
    assert {finding.split(":")[0] for finding in found} == {"database_url"}
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///keys.db",
        "nonsense",
        "postgresql+psycopg://keys:hunter2@db/keys",
        "postgresql+psycopg://db/keys?password=hunter2",
    ],
)
def test_a_keystore_url_with_a_password_or_another_engine_is_refused_and_not_repeated(url):
    found = findings({"keystore_url": url})
    assert {finding.split(":")[0] for finding in found} == {"keystore_url"}
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("data", "keystore"),
    [
        (
            "postgresql+psycopg://ecrin@db/ecrin?sslmode=verify-full",
            "postgresql+psycopg://keys@db:5432/keys?sslmode=verify-full",
        ),
        ("postgresql+psycopg://127.0.0.1/ecrin", "postgresql+psycopg:///keys"),
        ("postgresql+psycopg:///ecrin?host=/run/pg", "postgresql+psycopg:///keys?host=/run/pg"),
    ],
)
def test_a_keystore_on_the_server_of_the_data_is_refused(data, keystore):
    (found,) = findings({"database_url": data, "keystore_url": keystore})
    assert "point-in-time" in found
    other = make_url(keystore).set(port=5433).render_as_string()
    assert load({"database_url": data, "keystore_url": other}).keystore == make_url(other)


NEAR = ["///ecrin", "///ecrin?host=/run/pg", "//127.0.0.1/ecrin", "//localhost/ecrin", "//[::1]:5433/ecrin"]
FAR = [
    "//db/ecrin", "//192.0.2.7/ecrin", "//db/ecrin?sslmode=require", "//db/ecrin?sslmode=verify-ca", "//db/ecrin?sslmode=disable",
    "///ecrin?host=db", "///ecrin?host=/run/pg,db", "///ecrin?host=localhost&host=db", "//localhost/ecrin?hostaddr=192.0.2.7",
    "///ecrin?service=vault", "//localhost.example/ecrin", "//db/ecrin?sslmode=verify-full&sslmode=disable",
]  # fmt: skip


@pytest.mark.parametrize("name", ["database_url", "keystore_url"])
def test_postgresql_on_another_machine_is_asked_for_its_certificate_by_name(name):
    for url in FAR:
        (found,) = findings({name: f"postgresql+psycopg:{url}"})
        assert found.startswith(f"{name}: the server is on another machine"), url
        assert "192.0.2.7" not in found
        assert load({name: f"postgresql+psycopg:{url}", "unsafe_database_in_clear": True}).unsafe_database_in_clear
    for url in [*NEAR, "//db/ecrin?sslmode=verify-full", "///ecrin?host=db&sslmode=verify-full"]:
        assert not load({name: f"postgresql+psycopg:{url}"}).unsafe_database_in_clear


def test_one_setting_alone_lowers_what_is_safe_and_its_name_says_so():
    assert [name for name in Settings.model_fields if name.startswith("unsafe")] == ["unsafe_database_in_clear"]
    assert Settings.model_fields["unsafe_database_in_clear"].default is False


def test_a_keystore_is_a_file_or_a_database_with_its_password(tmp_path):
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("hunter2\n")
    assert load({"data_dir": "here"}).keystore == Path("here/keystore.db")
    made = load(
        {"keystore_url": "postgresql+psycopg://keys@keys/keys?sslmode=verify-full", "keystore_password_file": path}
    )
    assert made.keystore.password == "hunter2"
    assert "hunter2" not in f"{made!r} {made.keystore} {made.describe()}"
    path.unlink()
    with pytest.raises(InvalidSettings, match="keystore_password_file: cannot be read"):
        _ = made.keystore


@pytest.mark.parametrize("name", ["root_passphrase_file", "database_password_file", "keystore_password_file"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_secret_that_others_may_read_is_refused(tmp_path, name, mode):
    path = tmp_path / "secret"
    path.write_bytes(b"x" * 32)
    path.chmod(mode)
    assert about({name: path}) == {name}
    path.chmod(0o600)
    assert getattr(load({name: path}), name) == path


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_folder_of_roots_that_others_may_enter_or_read_from_is_refused(tmp_path, mode):
    folder = tmp_path / "roots"
    folder.mkdir(mode=0o700)
    (folder / "root-1").touch(mode=0o600)
    (folder / "root-1").chmod(mode)
    assert about({"root_folder": folder}) == {"root_folder"}
    (folder / "root-1").chmod(0o600)
    assert load({"root_folder": folder}).root_folder == folder
    folder.chmod(mode | 0o700)
    assert about({"root_folder": folder}) == {"root_folder"}


def test_two_ways_to_the_root_key_are_refused(tmp_path):
    assert "root_passphrase_file" in about({"root_provider": "file", "root_passphrase_file": tmp_path / "b"})


def test_sqlite_serves_one_process():
    assert about({"workers": 2}) == {"workers"}
    assert load({"workers": 2, "database_url": "postgresql+psycopg://db/ecrin?sslmode=verify-full"}).workers == 2


@pytest.mark.parametrize("name", ["", "Ecrin", "-a", "a" * 65, "a b", "é"])
def test_a_deployment_name_of_another_alphabet_is_refused(name):
    if name:
        assert about({"deployment": name}) == {"deployment"}
    else:
        assert load({"deployment": name}).deployment == "ecrin"


def test_a_misspelt_variable_is_refused(monkeypatch):
    monkeypatch.setenv("ECRIN_PUBILC_URL", "https://vault.example")
    monkeypatch.setenv("ECRIN_TEST_SOMETHING", "is the suite's own")
    assert findings() == ("ECRIN_PUBILC_URL: no such setting",)


def test_a_misspelt_argument_is_refused():
    assert about({"pubilc_url": "https://vault.example"}) == {"pubilc_url"}


@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), st.text(min_size=1), min_size=1, max_size=3))
def test_no_text_raises_anything_else_nor_is_repeated(overrides):
    try:
        load(overrides)
    except InvalidSettings as error:
        canaries = [text for text in overrides.values() if len(text) > 12]
        assert not any(canary in str(error) for canary in canaries)


def test_a_password_file_that_cannot_be_read_is_named_and_nothing_more(tmp_path):
    made = load(
        {
            "database_url": "postgresql+psycopg://db/ecrin?sslmode=verify-full",
            "database_password_file": tmp_path / "missing",
        }
    )
    with pytest.raises(InvalidSettings) as caught:
        _ = made.database
    assert caught.value.findings == ("database_password_file: cannot be read",)


# --- accepted --------------------------------------------------------------------------------------------------------


def test_defaults_are_a_loopback_vault_in_one_folder():
    made = load({"data_dir": "here"})
    assert made.database_url == "sqlite:///here/ecrin.db"
    assert {str(path.parent) for path in (made.keystore_path, made.root_folder, made.checkpoint_file)} == {"here"}
    assert made.issuer == made.public_url == "http://127.0.0.1:8420"
    assert not made.secure


def test_behind_a_proxy():
    made = load({"host": "0.0.0.0", "public_url": "https://vault.example/", "trusted_proxies": "10.0.0.2, 10.1.0.0/24"})  # noqa: S104
    assert made.trusted_proxies == ("10.0.0.2", "10.1.0.0/24")
    assert made.public_url == "https://vault.example"
    assert made.secure


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


def test_a_passphrase_takes_the_place_of_the_key_file(tmp_path):
    made = load({"root_passphrase_file": tmp_path / "passphrase"})
    assert made.root_provider == "passphrase"
    assert load().root_provider == "file"


def test_the_password_joins_the_url_when_it_is_used_and_is_masked_when_printed(tmp_path):
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("hunter2\n")
    made = load(
        {"database_url": "postgresql+psycopg://ecrin@db/ecrin?sslmode=verify-full", "database_password_file": path}
    )
    assert made.database.password == "hunter2"
    assert "hunter2" not in f"{made!r} {made.database} {made.describe()}"


def test_each_settings_source_is_told(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("ECRIN_LOG_LEVEL=error\nECRIN_PORT=1\n")
    monkeypatch.setenv("ECRIN_PORT", "9000")
    sources = {each.name: (each.source, each.value) for each in load({"batch_size": 9}).describe()}
    assert sources["port"] == ("environment", "9000")
    assert sources["log_level"] == (".env", "error")
    assert sources["batch_size"] == ("argument", "9")
    assert sources["shards"] == ("default", "1")
    assert sources["database_url"][0] == "default"
    assert settings.PREFIX == "ECRIN_"


def test_a_child_process_reads_back_the_same_settings(monkeypatch, tmp_path):
    made = load(
        {"public_url": "https://vault.example", "trusted_proxies": "10.0.0.2", "port": 9000, "data_dir": tmp_path}
    )
    monkeypatch.setenv("ECRIN_PORT", "1")
    for name, value in settings.child_environment(made).items():
        monkeypatch.setenv(name, value)
    assert load() == made


@pytest.mark.parametrize(
    "name", [each for each, kind in Settings.model_fields.items() if kind.annotation in {int, float}]
)
def test_every_number_has_a_least_and_a_most(name):
    """A number without a most is one keystroke away from none: a rate of everything, a queue that never says no."""
    bounds = {type(each).__name__ for each in Settings.model_fields[name].metadata}
    assert bounds & {"Ge", "Gt"}
    assert bounds & {"Le", "Lt"}

"""The command line as an operator meets it: help, set-up, systems, officers, policies, doctor."""

import json
import re
import stat
from pathlib import Path

import pytest

from api.cli import output

COMMANDS = (
    "init",
    "migrate",
    "serve",
    "doctor",
    "openapi",
    "import",
    "demo",
    "system",
    "budget",
    "honey",
    "officer",
    "policy",
    "audit",
)
SUBCOMMANDS = {
    "system": ("add", "list", "allow", "disable", "enable"),
    "honey": ("add",),
    "events": ("listen", "pending", "endpoints"),
    "budget": ("show", "lower", "propose", "approve", "withdraw", "list"),
    "officer": ("add", "key", "invite", "list", "disable"),
    "policy": ("check", "explain", "diff", "replay", "list", "propose", "sign", "refuse", "activate", "export"),
    "break-glass": ("ask", "list", "show", "approve", "refuse", "disclose", "review"),
    "audit": ("verify",),
    "consent": ("expire",),
}
WITH_JSON = ("init", "migrate", "doctor", "import", "demo", *(f"{g} {c}" for g, cs in SUBCOMMANDS.items() for c in cs))
PASSWORD = "seven lamps by the quay"


def words(text):
    """Help without its boxes and line breaks."""
    return re.sub(r"[\s│╭╮╰╯─]+", " ", text)


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command_and_the_exit_codes(ecrin):
    ended = ecrin("--help")
    assert ended.code == 0
    assert all(f" {command} " in words(ended.out) for command in COMMANDS)
    assert (
        "0 fine, 1 refused or not as it should be, 2 wrong call or cannot decide, 3 unsafe settings, 4 unavailable"
        in (words(ended.out))
    )
    for group, commands in SUBCOMMANDS.items():
        listed = words(ecrin(group, "--help").out)
        assert all(f" {command} " in listed for command in commands)
    for command in WITH_JSON:
        assert "--json" in words(ecrin(*command.split(), "--help").out)


def test_what_is_no_command_or_option_is_a_wrong_call(ecrin):
    for arguments in ((), ("nonsense",), ("init", "--force"), ("system",), ("system", "add"), ("policy", "explain")):
        ended = ecrin(*arguments)
        assert ended.code == 2, arguments
        assert "Traceback" not in ended.err


# --- init, migrate, doctor -------------------------------------------------------------------------------------------


def test_nothing_runs_before_init(bare, ecrin, jwks):
    for arguments in (
        ("doctor",),
        ("system", "list"),
        ("audit", "verify"),
        ("system", "add", "x-pos", "--brand", "aurelle", "--jwks", jwks, "--scope", "lookup"),
    ):
        ended = ecrin(*arguments)
        assert ended.code in {1, 4}, arguments
        assert "Traceback" not in ended.err
        assert ended.err or ended.out
    assert not list(bare.glob("roots/*")) if bare.exists() else True


def root_file(home):
    """The one root of a new deployment."""
    (path,) = (home / "roots").iterdir()
    return path


def test_what_is_away_for_now_ends_with_four(home, ecrin, monkeypatch):
    """Sealed, or no database: nothing is wrong with the call, and trying again later may succeed."""
    monkeypatch.setenv("ECRIN_ROOT_FOLDER", str(home / "elsewhere"))
    sealed = ecrin("system", "list")
    assert (sealed.code, sealed.out) == (4, "")
    assert sealed.err.startswith("ecrin: sealed")
    monkeypatch.delenv("ECRIN_ROOT_FOLDER")
    monkeypatch.setenv("ECRIN_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    gone = ecrin("system", "list")
    assert (gone.code, gone.out) == (4, "")
    assert gone.err.startswith("ecrin: store_unavailable")


def test_init_may_be_repeated_and_keeps_what_is_there(bare, process):
    first = process("init", "--json")
    assert first.code == 0
    assert json.loads(first.out) == {
        "deployment": "ecrin",
        "origin": "ecrin/audit",
        "keystore": str(bare / "keystore.db"),
    }
    key = root_file(bare).read_bytes()
    assert stat.S_IMODE(root_file(bare).stat().st_mode) == 0o600
    assert stat.S_IMODE(bare.stat().st_mode) == 0o700
    again = process("init")
    assert again.code == 0
    assert "ecrin is ready" in again.out
    assert root_file(bare).read_bytes() == key
    assert process("init", ECRIN_DEPLOYMENT="another").code == 1


def test_migrate_and_doctor(home, ecrin):
    assert ecrin("migrate", "--json").json == {"migrated": True}
    assert "this release's schema" in ecrin("migrate").out
    told = ecrin("doctor", "--json")
    assert told.code == 0
    assert {each["check"]: each["result"] for each in told.json["checks"]} == {
        "policies": "ok", "vault": "ok", "reviews": "ok", "witnesses": "ok",
    }  # fmt: skip
    (looked,) = [each for each in ecrin("doctor", "--outside", "--json").json["checks"] if each["check"] == "outside"]
    assert (looked["result"], looked["detail"].count("on this machine alone")) == ("ok", 3)
    text = ecrin("doctor").out
    assert "data_dir" in text
    assert "environment" in text


def test_doctor_fails_where_nobody_outside_gets_in(home, ecrin, monkeypatch):
    monkeypatch.setenv("ECRIN_PORTAL_URL", "https://localhost:1")
    looked = ecrin("doctor", "--outside", "--json")
    assert (looked.code, looked.json["checks"][-1]["result"]) == (1, "failed")
    assert looked.json["checks"][-1]["detail"].startswith("portal_url: no TLS connection; public_url: on this machine")
    assert ecrin("doctor").code == 0


def test_doctor_tells_what_is_wrong_and_no_secret(home, ecrin, monkeypatch, tmp_path):
    secret = "s3cret-of-the-database"
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text(secret)
    monkeypatch.setenv("ECRIN_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("ECRIN_DATABASE_URL", "postgresql+psycopg://ecrin@127.0.0.1:9/none")
    root = root_file(home).read_bytes()
    for ended in (ecrin("doctor"), ecrin("doctor", "--json")):
        assert ended.code == 1
        assert str(tmp_path / "password") in ended.out  # where it is, and not what
        for hidden in (secret, root.hex(), repr(root)):
            assert hidden not in ended.out + ended.err
    assert {each["check"]: each["result"] for each in ecrin("doctor", "--json").json["checks"]}["vault"] == "failed"


def test_doctor_finds_a_wrong_root_key(home, ecrin):
    root_file(home).write_bytes(bytes(32))
    ended = ecrin("doctor", "--json")
    assert ended.code == 1
    assert {each["check"]: each["result"] for each in ended.json["checks"]} == {
        "policies": "ok", "vault": "failed", "reviews": "ok", "witnesses": "ok",
    }  # fmt: skip
    assert ecrin("system", "list").code in {1, 4}


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ECRIN_HOST", "0.0.0.0", "host"),  # noqa: S104 - is to be refused
        ("ECRIN_PUBLIC_URL", "http://vault.example", "public_url"),
        ("ECRIN_PUBLIC_URL", "https://vault.example/path", "public_url"),
        ("ECRIN_DATABASE_URL", "postgresql+psycopg://u:pw-canary@db/x", "database_url"),
        ("ECRIN_DATABASE_URL", "mysql://db/x", "database_url"),
        ("ECRIN_WORKERS", "4", "workers"),
        ("ECRIN_TRUSTED_PROXIES", "0.0.0.0/0", "trusted_proxies"),
        ("ECRIN_MAX_BODY_BYTES", "99999999999", "max_body_bytes"),
        ("ECRIN_NO_SUCH_THING", "1", "ECRIN_NO_SUCH_THING"),
        ("ECRIN_DISABLE_AUDIT", "1", "ECRIN_DISABLE_AUDIT"),
    ],
)
def test_unsafe_settings_are_refused_before_anything_opens(home, ecrin, monkeypatch, variable, value, named):
    monkeypatch.setenv(variable, value)
    for command in ("serve", "init", "doctor"):
        ended = ecrin(command)
        assert ended.code == 3, command
        assert named in ended.err
        assert "canary" not in ended.err
        assert ended.out == ""


def test_a_root_key_that_others_may_read_is_refused(home, ecrin):
    root_file(home).chmod(0o644)
    ended = ecrin("serve")
    assert ended.code == 3
    assert "root_folder" in ended.err


# --- systems and officers --------------------------------------------------------------------------------------------


def test_systems_are_added_listed_and_disabled(home, ecrin, jwks):
    arguments = ("--brand", "aurelle", "--jwks", jwks, "--scope", "lookup", "--purpose", "service.repair")
    added = ecrin("system", "add", "aurelle-pos", *arguments, "--json")
    assert (added.code, added.json["status"], added.json["scopes"]) == (0, "active", "lookup")
    assert "registered" in ecrin("system", "add", "aurelle-crm", *arguments, "--name", "Back office").out
    listed = ecrin("system", "list", "--json").json["systems"]
    assert [each["id"] for each in listed] == ["aurelle-crm", "aurelle-pos"]
    assert "aurelle-pos" in ecrin("system", "list").out
    assert ecrin("system", "disable", "aurelle-pos", "--json").json["status"] == "disabled"
    assert "disabled" in ecrin("system", "disable", "aurelle-pos").out
    for ended in (ecrin("system", "disable", "nobody"), ecrin("system", "add", "aurelle-pos", *arguments)):
        assert (ended.code, ended.out) == (1, "")
        assert "Traceback" not in ended.err
    assert "unknown_system" in ecrin("system", "disable", "nobody").err


def test_a_private_or_strange_key_is_refused_and_nothing_of_it_told(home, ecrin, jwks, tmp_path):
    keys = json.loads(jwks.read_text())
    private = "c2VjcmV0LXNjYWxhci1vZi10aGUta2V5LTAxMjM0NTY"
    strange = (
        {"keys": [keys["keys"][0] | {"d": private}]},
        {"keys": [{"kty": "oct", "k": private, "kid": "k1"}]},
        {"keys": [keys["keys"][0] | {"x": private + "AAAA"}]},
        {"keys": []},
        {"keys": keys["keys"] * 2},
        {"keys": ["text"]},
        {},
        [],
        "text",
        None,
    )
    for keyset in strange:
        path = tmp_path / "strange.jwks"
        path.write_text(json.dumps(keyset))
        ended = ecrin("system", "add", "aurelle-pos", "--brand", "aurelle", "--jwks", path, "--scope", "lookup")
        assert ended.code in {1, 2}, keyset
        assert private not in ended.out + ended.err
        assert "jwks" in ended.err or "key set" in ended.err
    for content in (b"not json " + private.encode(), b"\xff\xfe"):
        path.write_bytes(content)
        assert ecrin("system", "add", "a-pos", "--brand", "aurelle", "--jwks", path, "--scope", "lookup").code == 2
    missing = tmp_path / "missing"
    assert ecrin("system", "add", "a-pos", "--brand", "aurelle", "--jwks", missing, "--scope", "lookup").code == 2
    assert ecrin("system", "list", "--json").json == {"systems": []}


def test_an_unknown_purpose_or_a_shapeless_name_is_refused(home, ecrin, jwks):
    rights = ("--jwks", jwks, "--scope", "lookup")
    ended = ecrin("system", "add", "a-pos", "--brand", "aurelle", *rights, "--purpose", "marketing.telepathy")
    assert (ended.code, "marketing.telepathy" in ended.err) == (2, True)
    for system_id, brand in (("A POS", "aurelle"), ("a-pos", "Aurelle & Co"), ("a", "aurelle")):
        assert ecrin("system", "add", system_id, "--brand", brand, *rights).code == 1
    assert ecrin("system", "add", "a-pos", "--brand", "aurelle", "--jwks", jwks).code == 1  # no scope at all


def test_a_set_up_code_is_handed_over_behind_the_hash(home, ecrin, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("a long enough passphrase")
    secret.chmod(0o600)
    assert ecrin("officer", "add", "m.lefevre", "--role", "compliance", "--password-file", secret).code == 0
    made = json.loads(ecrin("officer", "invite", "m.lefevre", "--json").out)
    assert made["link"] == f"http://localhost:8420/console/set-up#{made['code']}"
    assert ecrin("officer", "invite", "nobody").code == 1


def test_an_officers_password_comes_from_a_file_or_the_terminal_and_never_from_the_call(home, ecrin, process, tmp_path):
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD + "\n")
    added = ecrin("officer", "add", "m.lefevre", "--role", "compliance", "--password-file", secret, "--json")
    assert (added.code, added.json) == (0, {"id": "m.lefevre", "role": "compliance"})
    assert "added" in ecrin("officer", "add", "a.auditor", "--role", "auditor", "--password-file", secret).out
    usage = words(ecrin("officer", "add", "--help").out)
    assert "--password-file" in usage
    assert not re.search(r"--password(?!-file)", usage)
    for extra in (("--password", PASSWORD), (PASSWORD,)):
        assert ecrin("officer", "add", "n.ouvelle", "--role", "auditor", *extra).code == 2
    # Nobody at the terminal: it does not go on without one, and not with an empty one.
    asked = process("officer", "add", "n.ouvelle", "--role", "auditor")
    assert asked.code != 0
    assert "Traceback" not in asked.err


def test_a_weak_password_a_taken_name_and_an_unreadable_file_are_refused(home, ecrin, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("short-canary")
    secret.write_text("canary")
    ended = ecrin("officer", "add", "m.lefevre", "--role", "compliance", "--password-file", secret)
    assert (ended.code, "canary" in ended.err) == (1, False)
    assert "password" in ended.err
    secret.write_text(PASSWORD)
    assert ecrin("officer", "add", "m.lefevre", "--role", "compliance", "--password-file", secret).code == 0
    assert ecrin("officer", "add", "m.lefevre", "--role", "auditor", "--password-file", secret).code == 1
    assert ecrin("officer", "add", "M Lefèvre", "--role", "auditor", "--password-file", secret).code == 1
    assert ecrin("officer", "add", "other", "--role", "emperor", "--password-file", secret).code == 2
    assert ecrin("officer", "add", "other", "--role", "auditor", "--password-file", tmp_path / "none").code == 2
    secret.write_bytes(b"\xff\xfe" * 20)
    assert ecrin("officer", "add", "other", "--role", "auditor", "--password-file", secret).code == 2


# --- openapi ---------------------------------------------------------------------------------------------------------


def test_openapi_goes_to_a_file_or_to_standard_output(ecrin, tmp_path):
    printed = ecrin("openapi")
    assert (printed.code, printed.json["info"]["title"]) == (0, "Ecrin")
    assert ecrin("openapi", tmp_path / "api.json").code == 0
    assert (tmp_path / "api.json").read_text() == printed.out
    assert ecrin("openapi", tmp_path / "none" / "api.json").code == 2


def test_times_are_written_in_one_place_and_one_way():
    folder = Path(output.__file__).parent
    assert [each.name for each in folder.glob("*.py") if "strftime" in each.read_text("utf-8")] == ["output.py"]
    assert [output.moment(each) for each in (None, 0, 1_790_000_000)] == [
        "",
        "1970-01-01T00:00:00Z",
        "2026-09-21T14:13:20Z",
    ]

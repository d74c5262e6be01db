"""Every command and option that the pages name is there, and every command that is there is told of in the pages."""

import re
from pathlib import Path

import pytest
import typer

from api.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/operations.md", "docs/api.md", "docs/formats.md", "deploy/README.md")
CALL = re.compile(r" *(?:[A-Z_]+=\S+ +)*ecrin((?: +[a-z][a-z-]*)+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def commands():
    """The words of each command -> its options, and the words of each group."""
    found, groups = {}, set()

    def walk(command, words):
        if hasattr(command, "commands"):
            groups.add(words)
            for name, below in command.commands.items():
                walk(below, (*words, name))
        else:
            found[words] = {name for each in command.params for name in each.opts} | {"--help"}

    walk(typer.main.get_command(app), ())
    return found, groups


COMMANDS, GROUPS = commands()


def calls(text):
    """What is called in a page: (words, options). A call is in code, and ends with its line, its span, `;` or `|`."""
    text = text.replace("\\\n", " ")
    lines = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    for fence in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        typed = re.findall(r"^\$ (.*)$", fence, re.MULTILINE)  # what is not typed is printed
        lines += typed or fence.splitlines()
    for line in lines:
        for one in re.split(r"[;|]| # ", line):
            call = CALL.match(one)
            if call is not None:
                yield tuple(call[1].split()), OPTION.findall(one[call.end() :])


def named(words):
    """The longest beginning of `words` that is a command."""
    for length in range(min(len(words), 3), 0, -1):
        if words[:length] in COMMANDS:
            return words[:length]
    return None


@pytest.mark.parametrize("page", PAGES)
def test_each_command_and_option_that_a_page_calls_is_there(page):
    found = list(calls((ROOT / page).read_text("utf-8")))
    wrong = []
    for words, options in found:
        command = named(words)
        if command is None:
            if words not in GROUPS:
                wrong.append(" ".join(words))
            continue
        wrong += [f"{' '.join(command)} {option}" for option in options if option not in COMMANDS[command]]
    assert wrong == []


def test_each_command_that_is_there_is_told_of():
    told = {named(words) for page in PAGES for words, _ in calls((ROOT / page).read_text("utf-8"))}
    assert sorted(" ".join(words) for words in COMMANDS.keys() - told) == []

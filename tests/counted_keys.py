"""Keys that count what is asked of them: whether the same work is done for whom there is and for whom there is not."""

from contextlib import contextmanager
from threading import get_ident

from sqlalchemy import event


class CountedKeys:
    """A key service as it is, and a list of what was asked of it: the operation and how many at a time."""

    def __init__(self, keys):
        self._keys = keys
        self.asked = []
        self._thread = get_ident()  # what an application does beside is not of this work

    def __getattr__(self, name):
        found = getattr(self._keys, name)
        if not callable(found):
            return found

        def asked(*arguments, **named):
            many = next((len(each) for each in arguments if isinstance(each, list | tuple)), None)
            if many != 0 and get_ident() == self._thread:  # of nothing nothing is asked
                self.asked.append((name, many))
            return found(*arguments, **named)

        return asked


@contextmanager
def work_of(vault):
    """Yield a list that fills with every statement and every key operation until the end of the block."""
    done, before, mine = [], vault.keys, get_ident()

    def note(conn, cursor, statement, *_):
        if get_ident() == mine:
            done.append(statement)

    keys = CountedKeys(before)
    keys.asked = done
    vault.keys = keys
    event.listen(vault.engine, "before_cursor_execute", note)
    try:
        yield done
    finally:
        event.remove(vault.engine, "before_cursor_execute", note)
        vault.keys = before

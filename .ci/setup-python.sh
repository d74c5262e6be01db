#!/usr/bin/env bash
# Build .venv from a lock file: setup-python.sh run|dev
#
#   run   requirements.lock       what `ecrin` needs to work
#   dev   requirements-dev.lock   that, and what tests, checks and benchmarks need
#
# Every archive is checked against a hash of the lock. The stamp names all that the environment was built from, so an
# unchanged tree returns at once and a moved tree or another Python builds anew. PYTHON=/path/to/python3 chooses one.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/debian.sh

kind=${1:-dev}
case "$kind" in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "usage: setup-python.sh run|dev" >&2; exit 2 ;;
esac

digest() { cksum .ci/bootstrap.lock .ci/foreign.lock pyproject.toml "$@"; }

stamp_of() { # what an environment of this kind is built from
    echo "$1 $PWD"
    digest "$2"
}

stamp=.venv/ecrin-environment
fresh() { # a dev environment also serves as a run one
    [[ -x .venv/bin/ecrin && -f $stamp ]] || return 1
    .venv/bin/python -c '' 2>/dev/null || return 1
    [[ $(<"$stamp") == "$(stamp_of dev requirements-dev.lock)" ]] && return 0
    [[ $kind == run && $(<"$stamp") == "$(stamp_of run requirements.lock)" ]]
}
fresh && exit 0

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Ecrin needs Python 3.11 or newer; found: $(python3 --version 2>&1 || echo none)." >&2
    echo "Install one (Debian: apt-get install python3 python3-venv) or set PYTHON=/path/to/python3." >&2
    return 1
}

# An environment is kept when only the lock moved, and dropped when its interpreter or its place changed:
# its scripts carry absolute paths.
if [[ -d .venv ]] && ! { new_enough .venv/bin/python && grep -qsF "$PWD/.venv" .venv/bin/activate; }; then
    rm -rf .venv
fi
if [[ ! -x .venv/bin/pip ]]; then
    python=$(find_python)
    echo "setup: creating .venv with $("$python" --version)"
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then # Debian packs this half of the standard library apart
        debian_install python3-venv || {
            echo "setup: this Python cannot create environments (Debian: apt-get install python3-venv)." >&2
            exit 1
        }
    fi
    "$python" -m venv .venv
fi
rm -f "$stamp"

pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }

# uv installs the same archives under the same hashes in a tenth of the time, but reads none of pip's configuration.
# Where pip is told of another index, or where uv fails for any reason, pip does the work.
uv() { UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-30} UV_PYTHON_DOWNLOADS=never .venv/bin/uv --quiet --no-progress "$@"; }
uv_knows_the_index() { ! pip config list 2>/dev/null | grep -q 'index-url'; }

install() {
    if uv_knows_the_index && uv pip install --python .venv/bin/python "$@"; then
        return
    fi
    echo "setup: installing with pip"
    pip install --quiet "$@"
}

echo "setup: installing $lock"
pip install --quiet --require-hashes -r .ci/bootstrap.lock
install --require-hashes -r "$lock"
# The project itself: editable, from this tree alone, nothing fetched.
install --no-deps --no-index --no-build-isolation -e .

# Somebody else's witness and reader of logs (C2SP), which tests hold ours against. It lies apart, is imported by nothing of
# ours, and runs as a process of its own. It says that it wants a newer Python than we do; on ours it works, which the test
# shows. Where it cannot be had only that test is missing, and says so.
if [[ $kind == dev ]]; then
    rm -rf .venv/foreign
    pip install --quiet --require-hashes --no-deps --ignore-requires-python --target .venv/foreign -r .ci/foreign.lock ||
        echo "setup: the foreign witness could not be installed; its test says so" >&2
fi

# Where PYTHONDONTWRITEBYTECODE is set, every start would compile all packages anew, which takes seconds.
# A package may carry files for other Pythons that do not compile; that is no failure of ours.
.venv/bin/python -m compileall -q -j 0 .venv/lib/python*/site-packages >/dev/null 2>&1 || true

stamp_of "$kind" "$lock" >"$stamp"
echo "setup: done"

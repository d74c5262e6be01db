#!/usr/bin/env bash
# Ask the public database of advisories (OSV) about every part that the locks pin. Needs the network; no check of a change
# waits for it. Ends with 1 where something is known, and with 75 where nobody could be asked.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
uv=$PWD/.venv/bin/uv

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    printf '[project]\nname = "pinned"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = [\n'
    sed -nE 's/^([A-Za-z0-9._-]+(\[[^]]*\])?==[^ ;]+)( ; (.*[^ \\]))? *\\?$/    '"'''"'\1 ; \4'"'''"',/p' requirements-dev.lock | sed "s/ ; '''/'''/"
    printf ']\n'
} >"$work/pyproject.toml"

if [[ ${1:-} == --pins ]]; then # what would be asked about
    cat "$work/pyproject.toml"
    exit 0
fi
if ! "$uv" lock --quiet --project "$work"; then
    echo "advisories: not asked, as the registry could not be reached" >&2
    exit 75
fi
if "$uv" audit --frozen --preview-features audit --project "$work" "$@" >"$work/said" 2>&1; then
    cat "$work/said"
    exit 0
fi
cat "$work/said" >&2
if grep -qi 'error sending request\|failed to \(fetch\|query\)\|connect' "$work/said"; then
    echo "advisories: not asked, as the database of advisories could not be reached" >&2
    exit 75
fi
exit 1

# Sourced by the set-up scripts: bring a Debian package where we may, and report whether we could.

may_be_root() { [[ $(id -u) == 0 ]] || sudo -n true 2>/dev/null; }
as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi; }

debian_install() { # debian_install PACKAGE...: 0 when installed
    command -v apt-get >/dev/null 2>&1 && may_be_root || return 1
    echo "setup: installing the Debian package(s) $*"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3)
    as_root "${apt[@]}" update </dev/null >/dev/null &&
        as_root "${apt[@]}" install -y --no-install-recommends "$@" </dev/null >/dev/null
}

#!/usr/bin/env bash
# The parts of the test set-up that live outside .venv: PostgreSQL's server programs, an account to run them as (the
# server refuses to run as root), SoftHSM2, the HSM that the PKCS#11 provider is tested on, Chromium, in which the pages
# are tried, and nginx, which the front door in deploy/ is for. Installs what is missing where it may; where it may not, it says so loudly and
# goes on, and the tests that need the part are skipped. Under CI a missing part is an error.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/debian.sh

postgresql_missing() {
    ! command -v initdb >/dev/null 2>&1 && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

loudly() {
    printf '\n%s\n' '**********************************************************************' >&2
    printf '** %s\n' "$@" >&2
    printf '%s\n\n' '**********************************************************************' >&2
    [[ -z ${CI:-} ]] || exit 1
}

install_postgresql() {
    # The tests start their own cluster: where the package would make and start a system-wide one, keep it from that.
    if may_be_root && [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        as_root mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/ecrin.conf >/dev/null
    fi
    debian_install postgresql
}

softhsm_missing() {
    ! command -v softhsm2-util >/dev/null 2>&1
}

chromium_missing() {
    ! command -v chromium >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1
}

nginx_missing() {
    ! command -v nginx >/dev/null 2>&1 && [[ ! -x /usr/sbin/nginx ]]
}

install_nginx() {
    # The tests start their own: while it is installed nothing may start one for the whole machine, which would take port 80.
    local policy=/usr/sbin/policy-rc.d status=0
    if ! may_be_root || [[ -e $policy ]]; then
        debian_install nginx
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    debian_install nginx || status=1
    as_root rm -f "$policy"
    return "$status"
}

if chromium_missing; then
    debian_install chromium fonts-dejavu-core || true
    if chromium_missing; then
        loudly "Chromium is missing and could not be installed:" \
            "the pages will NOT be tried in a browser. Debian: apt-get install chromium"
    fi
fi

if nginx_missing; then
    install_nginx || true
    if nginx_missing; then
        loudly "nginx is missing and could not be installed:" \
            "the front door will NOT be tested. Debian: apt-get install nginx"
    fi
fi

if softhsm_missing; then
    debian_install softhsm2 || true
    if softhsm_missing; then
        loudly "SoftHSM2 (softhsm2-util) is missing and could not be installed:" \
            "the tests on an HSM will NOT run. Debian: apt-get install softhsm2"
    fi
fi

if postgresql_missing; then
    install_postgresql || true
    if postgresql_missing; then
        loudly "PostgreSQL's server programs (initdb) are missing and could not be installed:" \
            "the PostgreSQL half of the tests will NOT run. Debian: apt-get install postgresql"
    fi
fi

if [[ $(id -u) == 0 ]] && ! getent passwd postgres >/dev/null; then
    useradd --system --no-create-home --shell /usr/sbin/nologin postgres ||
        loudly "No unprivileged account: the throw-away PostgreSQL cluster cannot run as root." \
            "the PostgreSQL half of the tests will NOT run."
fi

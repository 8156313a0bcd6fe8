#!/usr/bin/env bats
# `make install`, `make uninstall`, `make deb`: what they put where, and that it works there.
load ../helpers/snap

# Without what the make that runs the tests has told its children.
quiet_make() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$BATS_TEST_DIRNAME/../.." B="$BUILD" "$@" 3>&-
}

# Built once for all tests of a run.
debs() {
    command -v dpkg-deb >/dev/null || skip 'no dpkg-deb here'
    [ -e "$BATS_RUN_TMPDIR/debs" ] || quiet_make deb
    : >"$BATS_RUN_TMPDIR/debs"
}

# The program below that root does what it is for.
works() { # ROOT/bin
    "$1/snapctl" --version | grep -qx 'snapctl [0-9.]*'
    "$1/snapctl" help pids | grep -q -e --pids=ns
    # shellcheck disable=SC2034 # helpers run it
    snapctl=$1/snapctl
    port=$(free_port)
    start server.log "$SERVER" "$port"
    wait_port "$port"
    [ "$(get "$port")" = 1 ]
    until_true snapctl check --pid "$pid"
    dump_pid "$pid"
    restore
    [ "$(get "$port")" = 2 ]
}

@test "install, and uninstall leaves nothing of it" {
    local root=$scratch/root page
    mkdir -p "$root/opt/bin" "$root/opt/share/man/man1"
    echo other >"$root/opt/bin/other"
    quiet_make install DESTDIR="$root" PREFIX=/opt
    for page in "$BATS_TEST_DIRNAME"/../../doc/*.[135]; do
        [ -f "$root/opt/share/man/man${page##*.}/${page##*/}" ] || fail "no $page"
    done
    [ -f "$root/opt/share/bash-completion/completions/snapctl" ]
    [ -f "$root/opt/share/zsh/site-functions/_snapctl" ]
    [ -f "$root/opt/share/fish/vendor_completions.d/snapctl.fish" ]
    grep -qx 'prefix=/opt' "$root/opt/lib/pkgconfig/snapctl.pc"
    grep -qx "libdir=\${prefix}/lib" "$root/opt/lib/pkgconfig/snapctl.pc"
    # A program that checks in is built with what is there, and finds the library there.
    gcc -o "$scratch/checkin" -I"$root/opt/include" -I"$BATS_TEST_DIRNAME/../.." \
        "$BATS_TEST_DIRNAME/../lib/checkin.c" -L"$root/opt/lib" -lsnapctl -pthread
    LD_LIBRARY_PATH=$root/opt/lib ldd "$scratch/checkin" | grep -q "$root/opt/lib/libsnapctl.so.0"
    works "$root/opt/bin"
    quiet_make uninstall DESTDIR="$root" PREFIX=/opt
    [ "$(cd "$root" && find . ! -type d)" = ./opt/bin/other ] || fail "it leaves $(find "$root" ! -type d)"
}

@test "Debian packages: they install, work, and go again" {
    local root=$scratch/root
    debs
    [ "$(find "$BUILD/deb" -type f | wc -l)" = 4 ]
    mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
    : >"$root/var/lib/dpkg/status"
    # Python and the C library are not in there; libsnapctl0 is.
    dpkg --root="$root" --log="$scratch/log" --force-not-root --force-depends --install "$BUILD"/deb/*.deb \
        >"$scratch/said" 2>&1 || fail "$(cat "$scratch/said")"
    # What the packages bring is what make install brings.
    quiet_make install DESTDIR="$scratch/plain" PREFIX=/usr
    diff <(names_in "$scratch/plain") <(names_in "$root" | grep -vE '/doc/|/lintian/')
    cmp <(gunzip <"$root/usr/share/man/man1/snapctl-dump.1.gz") "$BATS_TEST_DIRNAME/../../doc/snapctl-dump.1"
    LIBSNAPCTL=$(echo "$root"/usr/lib/*/libsnapctl.so.0) PYTHONPATH=$root/usr/lib/python3/dist-packages \
        /usr/bin/python3 -c 'import snapctl'
    works "$root/usr/bin"
    dpkg --root="$root" --log="$scratch/log" --force-not-root --remove \
        python3-snapctl libsnapctl-dev libsnapctl0 snapctl >"$scratch/said" 2>&1 || fail "$(cat "$scratch/said")"
    [ -z "$(find "$root/usr" ! -type d 2>/dev/null)" ] || fail "they leave $(find "$root/usr" ! -type d)"
}

# Names of files below DIRECTORY/usr, in neither Debian's folders nor compressed.
names_in() { # DIRECTORY
    (cd "$1/usr" && find . ! -type d | sed 's|lib/[^/]*-linux-gnu/|lib/|; s|vendor-completions|site-functions|; s|\.gz$||' |
        grep -v '/doc/' | sort)
}

@test "Debian packages: the same sources make the same packages" {
    debs
    (cd "$BUILD/deb" && sha256sum ./*.deb) >"$scratch/one"
    quiet_make deb
    (cd "$BUILD/deb" && sha256sum ./*.deb) | cmp - "$scratch/one"
}

@test "Debian packages: lintian" {
    command -v lintian >/dev/null || skip 'lintian is not here'
    debs
    lintian --allow-root "$BUILD"/deb/*.deb >"$scratch/said" 2>&1 || fail "$(cat "$scratch/said")"
    if grep '^[EW]:' "$scratch/said"; then fail "lintian objects"; fi
}

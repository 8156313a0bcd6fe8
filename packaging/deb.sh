#!/bin/bash
# Debian packages of what `make install` has put below a directory:   deb.sh STAGE OUT VERSION
# STAGE holds an installation with PREFIX=/usr, LIBDIR and ZSHDIR as Debian has them (`make deb` does that). Four packages
# go to OUT: snapctl, libsnapctl0, libsnapctl-dev, python3-snapctl. dpkg-deb is all that is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
stage=$1 out=$2 version=$3
mail=${DEBEMAIL:-snapctl@users.noreply.invalid}
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The same sources make the same package: times of files are that of the last change.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)}
export SOURCE_DATE_EPOCH
umask 022

# take PACKAGE FILE...: from the stage, given below /usr, into the package.
take() {
    local package=$1 file
    shift
    # shellcheck disable=SC2068 # they are patterns
    (cd "$stage/usr" && find $@ ! -type d -print) >"$work/files"
    while read -r file; do
        mkdir -p "$work/$package/usr/$(dirname "$file")"
        cp -P "$stage/usr/$file" "$work/$package/usr/$file"
        rm "$stage/usr/$file"
    done <"$work/files"
}

# What Debian wants of every package.
documents() { # PACKAGE
    local doc=$work/$1/usr/share/doc/$1
    mkdir -p "$doc"
    cat >"$doc/copyright" <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: snapctl

Files: *
Copyright: $(date -ud "@$SOURCE_DATE_EPOCH" +%Y) the authors of snapctl
License: Apache-2.0
 On Debian systems, the text of the license is in
 /usr/share/common-licenses/Apache-2.0.
END
    gzip -9n >"$doc/changelog.gz" <<END
snapctl ($version) unstable; urgency=medium

  * See README.md of the sources.

 -- The authors of snapctl <$mail>  $(date -uRd "@$SOURCE_DATE_EPOCH")
END
}

# build PACKAGE SECTION DEPENDS SUMMARY: the long description is standard input.
build() {
    local package=$1 section=$2 depends=$3 summary=$4 root=$work/$1
    documents "$package"
    find "$root/usr/share/man" -name '*.[1-9]' -exec gzip -9n {} + 2>/dev/null || true
    mkdir -p "$root/DEBIAN"
    {
        echo "Package: $package"
        echo "Source: snapctl"
        echo "Version: $version"
        echo "Architecture: $arch"
        echo "Maintainer: The authors of snapctl <$mail>"
        echo "Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)"
        [ -z "$depends" ] || echo "Depends: $depends"
        echo "Section: $section"
        echo "Priority: optional"
        echo "Description: $summary"
        sed 's/^/ /'
    } >"$root/DEBIAN/control"
    (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    mkdir -p "$out"
    dpkg-deb --root-owner-group --build "$root" "$out/${package}_${version}_$arch.deb" >/dev/null
    echo "$out/${package}_${version}_$arch.deb"
}

# ---- the packages ----------------------------------------------------------------------------------------

strip "$stage/usr/bin/snapctl"
# ELF notes and symbols that a linker needs stay.
strip --strip-unneeded --remove-section=.comment "$stage"/usr/lib/*/libsnapctl.so.0
strip --strip-debug --enable-deterministic-archives "$stage"/usr/lib/*/libsnapctl.a

take libsnapctl0 'lib/*/libsnapctl.so.0'
mkdir -p "$work/libsnapctl0/DEBIAN"
echo 'libsnapctl 0 libsnapctl0' >"$work/libsnapctl0/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' >"$work/libsnapctl0/DEBIAN/triggers"
take libsnapctl-dev include 'lib/*/libsnapctl.so' 'lib/*/libsnapctl.a' 'lib/*/pkgconfig' share/man/man3
take python3-snapctl lib/python3
take snapctl bin share
mkdir -p "$work/snapctl/usr/share/lintian/overrides"
cat >"$work/snapctl/usr/share/lintian/overrides/snapctl" <<'END'
# On purpose: restoring has to begin at once, and with nothing of a dynamic linker in the address space.
snapctl: statically-linked-binary [usr/bin/snapctl]
END
left=$(cd "$stage" && find . ! -type d)
[ -z "$left" ] || {
    echo "deb.sh: in no package: $left" >&2
    exit 1
}

build libsnapctl0 libs 'libc6 (>= 2.34)' 'what a program may say to snapctl (library)' <<'END'
libsnapctl lets a program say to snapctl when it is to be dumped, run hooks
before a dump and after a restore, and ask what it is told at a restore.
No program needs it to be dumped.
END
build libsnapctl-dev libdevel "libsnapctl0 (= $version)" 'what a program may say to snapctl (development)' <<'END'
Header, static library and manual page of libsnapctl, which lets a program
say to snapctl when it is to be dumped, and ask what it is told at a restore.
END
build python3-snapctl python "libsnapctl0 (= $version), python3" 'what a Python program may say to snapctl' <<'END'
The module snapctl lets a Python program say to snapctl when it is to be
dumped, run hooks before a dump and after a restore, and ask what it is told.
END
build snapctl utils '' 'freeze started programs into images and make them run again' <<'END'
snapctl dump starts a program, waits until it has initialised, and writes an
image of it; snapctl restore makes that program run again: same memory, same
threads, same open files and listening sockets, as often as wanted, in about
the time that it takes to start an empty program.
.
It is for programs that start slowly, for computations that must stop here
and go on later, and for looking into a stopped program. No daemon, no
configuration, no library to link; ordinary users can use it as well.
END

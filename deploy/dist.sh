#!/usr/bin/env bash
# Writes what a release consists of: deploy/dist.sh PROGRAM FOLDER [OPTION OF DPKG-DEB…]
# The Debian package, an archive for other systems, the list of components, and checksums. Equal inputs give equal bytes.
# STATIC_PROGRAM, built for musl, gets an archive and a list of its own.
set -euo pipefail
program=$(realpath "$1") static=${STATIC_PROGRAM:+$(realpath "$STATIC_PROGRAM")} folder=$(realpath -m "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Writes the archive and the list of components of this program for this target.
pack() {
  local name=sarban-$version-$2
  install -D -m 0755 "$1" "$work/$name/sarban"
  strip --strip-all "$work/$name/sarban"
  # Only files of the repository: beside them can be an operator's secrets.
  git ls-files -z LICENSE CHANGELOG.md 'docs/*.md' deploy | xargs -0 cp --parents --target-directory="$work/$name"
  chmod -R u=rwX,go=rX "$work/$name"
  tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --directory="$work" "$name" |
    gzip -9n >"$folder/$name.tar.gz"
  python3 deploy/components.py "$2" >"$folder/$name.cdx.json"
}

rm -rf "$folder"
mkdir -p "$folder"
deploy/debian/build.sh "$program" "$folder" "${@:3}" >/dev/null
pack "$program" "$target"
[ -z "$static" ] || pack "$static" "${target%-gnu}-musl"
cd "$folder"
sha256sum -- * >"$work/sums"
mv "$work/sums" SHA256SUMS
ls "$folder"

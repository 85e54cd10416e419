#!/usr/bin/env bash
# Builds a Debian package of a program: deploy/debian/build.sh PROGRAM FOLDER [OPTION OF DPKG-DEB…]
# It runs without root, and equal inputs give equal bytes. DEB_REVISION (1) is the part of the version behind the hyphen.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: deploy/debian/build.sh PROGRAM FOLDER [OPTION OF DPKG-DEB…]" >&2
  exit 2
fi
program=$(realpath "$1") folder=$(realpath -m "$2")
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in dpkg-deb:dpkg dpkg-shlibdeps:dpkg-dev strip:binutils; do
  if ! command -v "${tool%:*}" >/dev/null; then
    echo "${tool%:*} is missing: install it (on Debian: apt-get install ${tool#*:})" >&2
    exit 1
  fi
done

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-${DEB_REVISION:-1}
architecture=$(dpkg --print-architecture)
# All files get this time: that of the last commit, unless set.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/sarban
docs=$root/usr/share/doc/sarban

install -D -m 0755 "$program" "$root/usr/bin/sarban"
strip --strip-all --remove-section=.comment "$root/usr/bin/sarban"
install -D -m 0755 deploy/debian/sarban-run "$root/usr/sbin/sarban-run"
install -D -m 0640 deploy/debian/sarban.env "$root/etc/sarban/sarban.env"
# systemd alone reads it, as root.
install -m 0600 deploy/debian/edge.env "$root/etc/sarban/edge.env"
install -d "$root/usr/lib/systemd/system"
for unit in single/sarban.service single/sarban.socket edge/sarban-edge.service; do
  sed 's|/usr/local/bin/sarban|/usr/bin/sarban|' deploy/$unit >"$root/usr/lib/systemd/system/${unit#*/}"
done
install -d "$root/usr/share/bash-completion/completions" "$root/usr/share/man/man8" "$root/usr/share/lintian/overrides" "$docs"
"$program" completions bash >"$root/usr/share/bash-completion/completions/sarban"
for page in sarban sarban-run; do gzip -9n <deploy/debian/$page.8 >"$root/usr/share/man/man8/$page.8.gz"; done
cp deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/sarban"
cp deploy/debian/copyright "$docs/copyright"
cp docs/settings.md docs/operations.md docs/edge.md "$docs/"
gzip -9n <CHANGELOG.md >"$docs/changelog.gz"
gzip -9n >"$docs/changelog.Debian.gz" <<END
sarban ($version) stable; urgency=medium

  * This version's changes are in changelog.gz.

 -- Sarban <sarban@sarban.invalid>  $(date --utc --date="@$SOURCE_DATE_EPOCH" --rfc-email)
END

# dpkg-shlibdeps names the packages with the shared libraries that the program needs. It wants a source package.
mkdir -p "$work/debian"
printf 'Source: sarban\n\nPackage: sarban\nArchitecture: any\n' >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps -O -e"$root/usr/bin/sarban" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')

install -d "$root/DEBIAN"
for script in postinst prerm postrm; do install -m 0755 deploy/debian/$script "$root/DEBIAN/$script"; done
printf '%s\n' /etc/sarban/sarban.env /etc/sarban/edge.env >"$root/DEBIAN/conffiles"
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@LIBRARIES@|${libraries:+, $libraries}|" \
  -e "s|@SIZE@|$(du --summarize --apparent-size --block-size=1024 --exclude=DEBIAN "$root" | cut -f1)|" \
  deploy/debian/control >"$root/DEBIAN/control"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
chmod 0644 "$root"/DEBIAN/{control,conffiles,md5sums}
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$folder"
package=$folder/sarban_${version}_$architecture.deb
dpkg-deb --root-owner-group "$@" --build "$root" "$package" >/dev/null
echo "$package"

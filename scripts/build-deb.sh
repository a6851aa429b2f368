#!/usr/bin/env bash
# Builds the Debian package: the program's wheels for Debian 12 and 13, the installer, units and rules.
#   ./scripts/build-deb.sh [--arch amd64|arm64] [--wheels DIR | --wheels-only] [--version VERSION] [OUTPUT]
# OUTPUT: dist/. --wheels-only: gathers the wheels into .tools/ and builds nothing.
# Needs dpkg-deb; the network only where DIR (made by scripts/build-wheels.sh) is not given. arm64 is for Raspberry Pis.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=$(dpkg --print-architecture) wheels="" only=no version="" output=dist
while [ $# -gt 0 ]; do
    case $1 in
        --arch) arch=$2; shift ;;
        --wheels) wheels=$2; shift ;;
        --wheels-only) only=yes ;;
        --version) version=$2; shift ;;
        -*) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
        *) output=$1 ;;
    esac
    shift
done
case $arch in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; *) echo "no wheels for $arch" >&2; exit 2 ;; esac
if [ -z "$wheels" ]; then
    wheels=.tools/wheels/$machine-$(sha256sum requirements/pi.lock | cut -c1-12)
    ./scripts/build-wheels.sh --arch "$machine" "$wheels" >&2
fi
[ "$only" = no ] || exit 0
if ! ls "$wheels"/offgrid_gateway-*.whl "$wheels"/python*.lock >/dev/null 2>&1; then
    echo "error: $wheels has no wheel of our own; make it with: ./scripts/build-wheels.sh --arch $machine $wheels" >&2
    exit 1
fi
ROOT=$(mktemp -d)
trap 'rm -rf "$ROOT"' EXIT
chmod 755 "$ROOT"
share=$ROOT/usr/share/offgrid-gateway doc=$ROOT/usr/share/doc/offgrid-gateway
. scripts/lib/install/words.sh
. scripts/lib/install/files.sh
. scripts/lib/install/software.sh
[ -n "$version" ] || version=$(_version .)

install -d "$share/scripts/lib" "$share/wheels" "$doc" "$ROOT/usr/bin" "$ROOT/usr/sbin" "$ROOT/DEBIAN" "$output"
cp "$wheels"/*.whl "$wheels"/python*.lock "$share/wheels/"
cp -r scripts/lib/install "$share/scripts/lib/"
cp scripts/install.sh "$share/scripts/"
cp -r systemd "$share/"
echo "$version" >"$share/VERSION"
place_files systemd /usr/lib
ln -s /opt/offgrid-gateway/current/bin/offgrid-gateway "$ROOT/usr/bin/offgrid-gateway"
ln -s /usr/share/offgrid-gateway/scripts/install.sh "$ROOT/usr/sbin/offgrid-gateway-setup"
cp README.md config.example.yml docs/install.md "$doc/"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"

for script in postinst prerm postrm; do install -m 755 "scripts/deb/$script" "$ROOT/DEBIAN/$script"; done
# What lies below /etc is the site's: dpkg asks before it replaces what was changed there.
(cd "$ROOT" && find etc -type f -printf '/%p\n' | sort) >"$ROOT/DEBIAN/conffiles"
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$(du -sk "$ROOT/usr" | cut -f1)/" scripts/deb/control >"$ROOT/DEBIAN/control"
find "$ROOT" -type d -exec chmod 755 {} + -o -type f ! -perm /111 -exec chmod 644 {} +
# The same sources give the same package; wheels are compressed already.
SOURCE_DATE_EPOCH=1704067200 dpkg-deb --root-owner-group -Znone --build "$ROOT" "$output/offgrid-gateway_${version}_$arch.deb"

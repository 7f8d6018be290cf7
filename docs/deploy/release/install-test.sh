#!/usr/bin/env bash
# Installs a deb in a clean root and asks whether what a package promises holds: the unit
# is one that systemd accepts, its command serves as its user, an upgrade and a removal
# keep an edited configuration, a purge does not.
#
#   install-test.sh PACKAGE.deb ROOT
#
# ROOT is a Debian with systemd, made by `debootstrap --variant=minbase --include=systemd,procps
# bookworm ROOT`; it is changed. Needs root, for chroot.
set -euo pipefail

deb=$(realpath "$1")
root=$(realpath "$2")
work=$(mktemp -d)
served=

finish() {
	local status=$?
	if [[ -n $served ]]; then kill "$served" 2>/dev/null || true; fi
	rm -rf "$work"
	if ((status == 0)); then echo "install-test: ok"; else echo "install-test: FAILED"; fi
	exit "$status"
}
trap finish EXIT

fail() {
	echo "install-test: $*" >&2
	exit 1
}
inside() { chroot "$root" "$@"; }
install_deb() {
	cp "$1" "$root/tmp/package.deb"
	inside dpkg --force-confold --install /tmp/package.deb </dev/null
}
unit_says() { sed -n "s/^$1=//p" "$root/usr/lib/systemd/system/tunnelform.service"; }

install_deb "$deb"

# The unit.
inside systemd-analyze verify /usr/lib/systemd/system/tunnelform.service
[[ ! -e $root/etc/systemd/system/multi-user.target.wants/tunnelform.service ]] || fail "the installation has enabled the service"
user=$(unit_says User)
[[ $(inside id -un "$user") == tunnelform ]] || fail "no user \"$user\""

# What else is in the package.
inside tunnelform version | grep -q "^tunnelform v" || fail "no version"
for file in usr/share/man/man1/tunnelform-serve.1.gz usr/share/bash-completion/completions/tunnelform usr/share/doc/tunnelform/copyright; do
	[[ -s $root/$file || -n $(dpkg-deb --contents "$deb" | grep -F " ./$file") ]] || fail "no /$file"
done

touch "$work/log"

# The command, as its user, on a port of its own. The address is taken out of its log.
read -ra command <<<"$(unit_says ExecStart)"
sed -i 's/127\.0\.0\.1:8080/127.0.0.1:0/' "$root/etc/tunnelform/routes.yaml"
chroot --userspec="$user:$(unit_says Group)" "$root" "${command[@]}" >"$work/log" 2>&1 &
served=$!
for _ in {1..300}; do
	address=$(grep -oE '127\.0\.0\.1:[1-9][0-9]*' "$work/log" | head -n 1) && break
	kill -0 "$served" || fail "the service's command ended: $(cat "$work/log")"
	sleep 0.1
done
[[ -n $address ]] || fail "the service's command does not listen: $(cat "$work/log")"
[[ $(stat -c %u "/proc/$served") == "$(inside id -u "$user")" ]] || fail "the command does not run as $user"
curl -fsS --max-time 30 "http://$address/" | grep -q "tunnelform works" || fail "no answer"

# An upgrade to a version with another default configuration, while it serves.
dpkg-deb --raw-extract "$deb" "$work/next"
sed -i 's/^Version: .*/Version: 999.0.0-1/' "$work/next/DEBIAN/control"
echo "# a new default" >>"$work/next/etc/tunnelform/routes.yaml"
dpkg-deb --root-owner-group -Zgzip -z1 --build "$work/next" "$work/next.deb" >/dev/null
edited=$(sha256sum <"$root/etc/tunnelform/routes.yaml")
install_deb "$work/next.deb"
[[ $(sha256sum <"$root/etc/tunnelform/routes.yaml") == "$edited" ]] || fail "the upgrade has changed the configuration"
grep -q "a new default" "$root/etc/tunnelform/routes.yaml.dpkg-dist" || fail "the new default is not beside it"
curl -fsS --max-time 30 "http://$address/" >/dev/null || fail "the upgrade has ended the running proxy"

# Removal and purge.
kill "$served" && wait "$served" || fail "the command did not end well: $(cat "$work/log")"
served=
inside dpkg --remove tunnelform
[[ ! -e $root/usr/bin/tunnelform ]] || fail "the removal leaves the program"
[[ $(sha256sum <"$root/etc/tunnelform/routes.yaml") == "$edited" ]] || fail "the removal has changed the configuration"
inside dpkg --purge tunnelform
[[ ! -e $root/etc/tunnelform/routes.yaml ]] || fail "the purge leaves the configuration"

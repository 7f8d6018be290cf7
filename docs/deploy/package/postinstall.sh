#!/bin/sh
# deb: "configure", with the old version at an upgrade. rpm: 1 at an installation, more at
# an upgrade.
#
# The service is neither enabled nor started at an installation, whose routes nobody has
# written yet, nor restarted at an upgrade: a restart ends tunnels, and when that may
# happen is for the operator to say.
set -e
upgrade=

case "$1" in
configure) if [ -n "$2" ]; then upgrade=yes; fi ;;
1) ;;
[2-9] | [1-9][0-9]*) upgrade=yes ;;
*) exit 0 ;; # dpkg undoes something that failed
esac

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers tunnelform.conf
elif ! id tunnelform >/dev/null 2>&1; then
	useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin tunnelform
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ "$upgrade" ] && systemctl --quiet is-active tunnelform.service; then
		echo "tunnelform.service keeps running the version it was started with, and its tunnels stay open." >&2
		echo "To change to the new version: systemctl restart tunnelform (drains the tunnels)" >&2
	fi
fi

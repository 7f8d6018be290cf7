#!/bin/sh
# deb: "remove", and "upgrade" at an upgrade. rpm: 0, and 1 at an upgrade.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now tunnelform.service
	fi
	;;
esac

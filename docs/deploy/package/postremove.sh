#!/bin/sh
# What is in /etc/tunnelform stays unless the package is purged, and the user stays: files
# elsewhere may belong to it.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

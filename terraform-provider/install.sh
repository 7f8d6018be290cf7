#!/usr/bin/env bash
# Builds the provider and puts it where `terraform init` and `tofu init` look
# without any registry: the plugins directory of the user.
#
#   ./install.sh             into ~/.terraform.d/plugins
#   PLUGINS=DIR ./install.sh into DIR, laid out as a filesystem mirror
#
# Each build has a version of its own, 0.0.SECONDS: a dependency lock file holds
# the checksum of the binary, and would refuse another one under the same version.
set -euo pipefail
cd "$(dirname "$0")"

plugins=${PLUGINS:-$HOME/.terraform.d/plugins}
version=0.0.$(date +%s)
platform=$(go env GOOS)_$(go env GOARCH)
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=$version" -o "$binary" .

# Each of the two asks for it under its own registry's name.
for host in registry.terraform.io registry.opentofu.org; do
	dir=$plugins/$host/tunnelform/tunnelform/$version/$platform
	mkdir -p "$dir"
	install -m 755 "$binary" "$dir/terraform-provider-tunnelform_v$version"
done
echo "installed $version into $plugins; in a directory that has a lock file: terraform init -upgrade"

#!/usr/bin/env bash
# Writes docs/, the provider's reference, from the schemas' descriptions and from
# examples/. Wants terraform on the PATH, and the network for nothing but Go
# modules that are not in the cache yet.
#
#   ./generate.sh          into docs/
#   ./generate.sh DIR      into DIR, to compare with docs/
set -euo pipefail
cd "$(dirname "$0")"
TFPLUGINDOCS=github.com/hashicorp/terraform-plugin-docs/cmd/tfplugindocs@v0.25.0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target=${1:-docs}

# Left to itself, the tool builds and installs a provider by rules of its own;
# here terraform is asked for the schemas of the one that this tree builds.
mkdir "$work/bin" "$work/empty" "$work/tree"
go build -o "$work/bin/terraform-provider-tunnelform" .
printf 'provider_installation {\n  dev_overrides { "tunnelform/tunnelform" = "%s" }\n}\n' "$work/bin" >"$work/terraform.rc"
cp examples/provider/provider.tf "$work/empty/"
# The tool looks for the address that a provider without a namespace has.
(cd "$work/empty" && TF_CLI_CONFIG_FILE="$work/terraform.rc" CHECKPOINT_DISABLE=1 terraform providers schema -json) |
	sed 's#"registry.terraform.io/tunnelform/tunnelform"#"registry.terraform.io/hashicorp/tunnelform"#' >"$work/schema.json"

cp -R examples "$work/tree/"
go run "$TFPLUGINDOCS" generate --provider-dir "$work/tree" --provider-name tunnelform --rendered-provider-name Tunnelform \
	--providers-schema "$work/schema.json" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
rm -rf "$target"
cp -R "$work/tree/docs" "$target"
# Terraform before 1.14 does not know list resources and actions, so their pages are
# written by hand; a test compares them with the schemas.
cp -R reference/. "$target/"

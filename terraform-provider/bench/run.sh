#!/usr/bin/env bash
# What plan and apply cost in CPU seconds, of terraform and its plugins together:
# tunnelform_route beside a provider that does nothing, and one document of many
# routes. CPU and not wall time, so that a busy machine says the same as an idle one
# (or nearly: caches are shared).
#
#   ./run.sh                 100 and 1000 routes, a document of 5000
#   ROUTES="100" DOCUMENT=1000 ./run.sh     (the document in hundreds)
set -euo pipefail
cd "$(dirname "$0")"
routes=${ROUTES:-100 1000}
size=${DOCUMENT:-5000}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
go build -trimpath -o "$work/bin/terraform-provider-tunnelform" ..
go build -trimpath -o "$work/bin/terraform-provider-nothing" ./nothing
cat >"$work/terraform.rc" <<RC
provider_installation {
  dev_overrides {
    "tunnelform/tunnelform" = "$work/bin"
    "tunnelform/nothing"    = "$work/bin"
  }
}
RC
export TF_CLI_CONFIG_FILE=$work/terraform.rc CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
TIMEFORMAT='%U %S'

# cpu runs terraform in DIR and prints the CPU seconds of it and its children.
cpu() {
	local dir=$1
	shift
	{ time terraform -chdir="$dir" "$@" -no-color >"$work/log" 2>&1; } 2>"$work/time" || { cat "$work/log" >&2; exit 1; }
	awk '{printf "%.1f", $1 + $2}' "$work/time"
}

# row measures one configuration: first plan, apply, then the plan without changes.
row() {
	local name=$1 dir=$2 plan apply again
	plan=$(cpu "$dir" plan -out=plan.bin)
	apply=$(cpu "$dir" apply plan.bin)
	again=$(cpu "$dir" plan -detailed-exitcode)
	printf '| %s | %s | %s | %s |\n' "$name" "$plan" "$apply" "$again"
}

header() {
	cat <<TF
terraform {
  required_providers {
    $1 = { source = "tunnelform/$1" }
  }
}
TF
}

many() {
	cat <<TF
resource "$1_route" "all" {
  for_each = toset([for i in range($2) : format("tenant-%05d", i)])
  name     = each.key
  to       = "ws://10.0.0.1:9000/\${each.key}/"
  match {
    host        = "\${each.key}.example.com"
    path_prefix = "/socket/"
  }
  timeouts {
    idle = "10m"
  }
}
TF
}

echo "| configuration | plan | apply | plan without changes |"
echo "|---|---|---|---|"
for n in $routes; do
	for which in nothing tunnelform; do
		dir=$work/$which-$n
		mkdir "$dir"
		{
			header $which
			if [[ $which == tunnelform ]]; then echo "provider \"tunnelform\" { file = \"$dir/routes.yaml\" }"; fi
			many $which "$n"
		} >"$dir/main.tf"
		row "$n × \`${which}_route\`" "$dir"
	done
done

# document measures one resource with the whole file from an expression.
document() {
	local name=$1 dir=$work/document-$2 content=$3
	mkdir "$dir"
	{
		header tunnelform
		echo "provider \"tunnelform\" { file = \"$dir/routes.yaml\" }"
		echo "resource \"tunnelform_routes_file\" \"all\" { content = $content }"
	} >"$dir/main.tf"
	row "$name" "$dir"
}

{
	printf 'version: 1\nroutes:\n'
	for ((i = 0; i < size; i++)); do
		printf '  tenant-%05d: {match: {host: tenant-%05d.example.com, path_prefix: /socket/}, to: "ws://10.0.0.1:9000/tenant-%05d/", timeouts: {idle: 10m}}\n' $i $i $i
	done
} >"$work/many.yaml"
document "one document of $size routes, from \`file\`" file "file(\"$work/many.yaml\")"

# The same from values. Terraform's range gives 1,024 numbers at most, hence two of them.
routes="{ for i in flatten([for k in range($((size / 100))) : [for j in range(100) : 100 * k + j]]) : format(\"tenant-%05d\", i) => {
      match    = { host = format(\"tenant-%05d.example.com\", i), path_prefix = \"/socket/\" }
      to       = format(\"ws://10.0.0.1:9000/tenant-%05d/\", i)
      timeouts = { idle = \"10m\" }
    } }"
document "one document of $size routes, from \`yamlencode\`" yamlencode "yamlencode({ version = 1, routes = $routes })"
document "one document of $size routes, from \`encode\`" encode "provider::tunnelform::encode({ routes = $routes })"

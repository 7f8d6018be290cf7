# Thin aliases only: every line is a command that may as well be typed.
.PHONY: build run quick test soak fuzz race lint generate image ci acceptance install-provider release

# Take the toolchain that go.mod names when the installed one is older, also where the machine says local.
export GOTOOLCHAIN := auto

build:    ; CGO_ENABLED=0 go build -trimpath -o tunnelform .
run:      ; go run . serve routes.example.yaml
quick:    ; go test -short ./...
test:     ; go test ./...
soak:     ; TUNNELFORM_SOAK=$${TUNNELFORM_SOAK:-10m} go test -count=1 -timeout 2h -v -run '^Test(Soak|Spread|ThousandTunnelsThroughEdits|Trouble)$$' ./proxy/e2e
fuzz:     ; .ci/fuzz $${FUZZ_TIME:-10s}
race:     ; go test -race ./...
lint:     ; gofmt -l . && go vet ./... && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
generate: ; go test ./proxy/routefile -update && terraform-provider/generate.sh
image:    ; podman build -t tunnelform -f docs/deploy/Containerfile .
ci:       ; .ci/run

acceptance:       ; TF_ACC=1 go test -count=1 -timeout 20m ./terraform-provider/...
install-provider: ; terraform-provider/install.sh

# What a release consists of, built twice and compared: docs/releasing.md.
#   make release VERSION=1.2.3 [PLATFORMS=linux/amd64] [DIST=dist] [SIGN_KEY=KEY]
PLATFORMS := linux/amd64,linux/arm64,darwin/amd64,darwin/arm64
DIST := dist
release:
	cd docs/deploy/release && GOTOOLCHAIN=$$(sed -n 's/^toolchain //p' "$(CURDIR)/go.mod") go run . -repo "$(CURDIR)" \
		-version "$(VERSION)" -platforms "$(PLATFORMS)" -out "$(abspath $(DIST))" -sign "$(SIGN_KEY)"

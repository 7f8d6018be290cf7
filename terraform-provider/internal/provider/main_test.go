package provider

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks for leaked goroutines, except those that Terraform's test framework
// keeps.
func TestMain(m *testing.M) {
	status := m.Run()
	removeBinaries()
	if status == 0 && os.Getenv("TF_ACC") == "" {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			status = 1
		}
	}
	os.Exit(status)
}

package provider

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain wants every goroutine of the tests ended. What terraform's test
// framework leaves running for the next test is its own.
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

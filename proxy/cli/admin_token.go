package cli

// The token that serve makes for its own run, and the files through which the commands find
// it.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tunnelform/tunnelform/proxy/internal/admin"
)

// tokenName is the name of the first proxy's token file in a folder. Another one that
// runs at the same time has its address in the name.
const tokenName = "admin.token"

func tokenNameOf(address string) string {
	return "admin-" + strings.ReplaceAll(address, "/", "_") + ".token"
}

// systemdFolder is where RuntimeDirectory=tunnelform is for those outside of the unit.
const systemdFolder = "/run/tunnelform"

// tokenFile holds the token of this process. The lock on it says that the process lives.
type tokenFile struct {
	path   string
	file   *os.File
	tokens *admin.Tokens
}

// tokenFolder is the folder for what lasts as long as the process.
func tokenFolder() (string, error) {
	if list := os.Getenv("RUNTIME_DIRECTORY"); list != "" { // systemd separates several by colons
		first, _, _ := strings.Cut(list, ":")
		return first, nil
	}
	folder := os.Getenv("XDG_RUNTIME_DIR")
	if folder == "" {
		return "", errors.New("neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set, and there is no --admin-token-file")
	}
	return filepath.Join(folder, "tunnelform"), nil
}

// newTokenFile makes a token for the admin API at address and writes it.
func newTokenFile(address string) (*tokenFile, error) {
	folder, err := tokenFolder()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	own := filepath.Join(folder, tokenNameOf(address))
	t, err := claimTokenFile(filepath.Join(folder, tokenName))
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		t, err = claimTokenFile(own)
	case err == nil:
		// One that a killed process left there would be found before this one.
		_ = os.Remove(own)
	}
	if err != nil {
		return nil, err
	}
	text, tokens := admin.NewToken("serve", admin.ScopeRead|admin.ScopeWrite)
	if _, err := fmt.Fprintln(t.file, text); err != nil {
		t.remove()
		return nil, err
	}
	t.tokens = tokens
	return t, nil
}

// claimTokenFile makes an empty file that only its owner may read, and locks it. The error
// is EWOULDBLOCK if a live process has it.
func claimTokenFile(path string) (*tokenFile, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := claim(file); err != nil {
			file.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if isFileAt(file, path) {
			return &tokenFile{path: path, file: file}, nil
		}
		file.Close() // its owner has just removed it
	}
}

func claim(file *os.File) error {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	if err := file.Chmod(0o600); err != nil {
		return err
	}
	return file.Truncate(0)
}

func isFileAt(file *os.File, path string) bool {
	opened, errOpened := file.Stat()
	named, errNamed := os.Lstat(path)
	return errOpened == nil && errNamed == nil && os.SameFile(opened, named)
}

// remove ends the claim.
func (t *tokenFile) remove() {
	_ = os.Remove(t.path) // while it is locked: nobody else has it
	t.file.Close()
}

// findToken returns the token of the proxy that serves its admin API at address on this
// machine, if it made one that this user may read. A token is never sent elsewhere.
func findToken(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !isLoopback(host) {
		return ""
	}
	var folders []string
	if folder, err := tokenFolder(); err == nil {
		folders = append(folders, folder)
	}
	for _, folder := range append(folders, systemdFolder) {
		for _, name := range []string{
			tokenNameOf(address), tokenNameOf("127.0.0.1:" + port), tokenNameOf("[::1]:" + port), tokenNameOf("[::]:" + port), tokenName,
		} {
			if text, err := os.ReadFile(filepath.Join(folder, name)); err == nil {
				return strings.TrimSpace(string(text))
			}
		}
	}
	return ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

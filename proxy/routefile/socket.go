package routefile

import (
	"errors"
	"io/fs"
	"os/user"
	"strconv"
)

// Who may connect to a unix socket: the file's mode and group, of listeners and of the
// admin API.

// defaultSocketMode lets the owner and the group connect.
const defaultSocketMode = 0o660

// SocketMode reads the mode of a unix socket, in octal; "" is 0660. Its error says what was
// wanted.
func SocketMode(text string) (fs.FileMode, error) {
	if text == "" {
		return defaultSocketMode, nil
	}
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 || len(text) > 4 {
		return 0, errors.New("wanted permissions in octal, such as 0660")
	}
	if mode&0o600 != 0o600 { // decimal figures, mostly
		return 0, errors.New("wanted permissions in octal that let the owner read and write, such as 0660")
	}
	return fs.FileMode(mode), nil
}

func checkSocketMode(text string) error {
	_, err := SocketMode(text)
	return err
}

func checkGroupName(text string) error {
	if text == "" {
		return errors.New("wanted the name or number of a group")
	}
	return nil
}

// SocketGroup finds a group of this machine by its name or number; "" is -1, the group that
// the process makes files with. The name of a group may consist of digits.
func SocketGroup(name string) (id int, err error) {
	if name == "" {
		return -1, nil
	}
	group, err := user.LookupGroup(name)
	if err == nil {
		name = group.Gid
	}
	if n, numeric := strconv.ParseUint(name, 10, 31); numeric == nil {
		return int(n), nil
	}
	return 0, errors.New("unknown group on this machine")
}

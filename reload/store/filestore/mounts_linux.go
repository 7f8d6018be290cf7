// Which paths are mount points, as the kernel tells it.
package filestore

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// mountPoints returns the mount points of this process, or none if the kernel
// does not tell.
func mountPoints() map[string]bool {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseMountinfo(f)
}

// parseMountinfo takes the fifth field of each line (proc_pid_mountinfo(5)):
// the mount point, relative to the process's root.
func parseMountinfo(r io.Reader) map[string]bool {
	points := map[string]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 {
			points[unescape(fields[4])] = true
		}
	}
	return points
}

// unescape undoes the kernel's "\040" for space, tab, newline and backslash.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

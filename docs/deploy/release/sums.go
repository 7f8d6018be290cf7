package main

// Checksums, their signatures, and the proof that two builds are one.

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

const sumsName = "SHA256SUMS"

// writeSums writes the checksums of the files in dir, not of those in its directories, in
// the form that sha256sum -c reads.
func writeSums(dir, name string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, file := range files {
		if !file.Type().IsRegular() || file.Name() == name {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), file.Name())
	}
	return os.WriteFile(filepath.Join(dir, name), sums.Bytes(), 0o644)
}

// sign puts a detached signature beside every file of checksums below dir. It is binary,
// as the Terraform registry wants it.
func sign(dir, key string) error {
	if key == "" {
		log.Printf("the checksums are not signed: no key was named; %s.sig is the signature's place", filepath.Join(dir, sumsName))
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if matched, _ := filepath.Match("*"+sumsName, filepath.Base(path)); err != nil || !matched {
			return err
		}
		command := exec.Command("gpg", "--batch", "--yes", "--local-user", key, "--output", path+".sig", "--detach-sign", path)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", command, err, output)
		}
		return nil
	})
}

// compareTrees fails unless the same files with the same bytes are below both directories.
func compareTrees(a, b string) error {
	inA, err := filesBelow(a, "")
	if err != nil {
		return err
	}
	inB, err := filesBelow(b, "")
	if err != nil {
		return err
	}
	other := map[string][]byte{}
	for _, f := range inB {
		other[f.name] = f.data
	}
	if len(inA) != len(inB) || len(inA) == 0 {
		return fmt.Errorf("%d files in one, %d in the other", len(inA), len(inB))
	}
	for _, f := range inA {
		if data, found := other[f.name]; !found || !bytes.Equal(f.data, data) {
			return fmt.Errorf("%s differs", f.name)
		}
	}
	return nil
}

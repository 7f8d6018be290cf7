package routefile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tunnelform/tunnelform/internal/regularfile"
)

// writePair writes a certificate and its key as name.crt and name.key.
func writePair(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	write(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, "a")
	writePair(t, dir, "b")
	write(t, filepath.Join(dir, "empty.pem"), nil)
	write(t, filepath.Join(dir, "secret"), []byte("0123456789abcdef\n"))
	write(t, filepath.Join(dir, "lines"), []byte("hidden\nX-Evil: 1\n"))
	write(t, filepath.Join(dir, "blank"), []byte("hidden \n"))
	write(t, filepath.Join(dir, "crlf"), []byte("$http_x {client}\r\n"))
	write(t, filepath.Join(dir, "long"), []byte(strings.Repeat("x", 8193)+"\n"))
	write(t, filepath.Join(dir, "short"), []byte("\n 0123456789abcde \n"))
	write(t, filepath.Join(dir, "big.pem"), make([]byte, regularfile.Named+1))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, text string
		want       []string // position without the file, and the text with $DIR for dir
	}{
		{"good", `
listeners: {s: {address: "unix:in.sock", tls: {certificates: [{certificate: a.crt, key: a.key}], client_ca: b.crt}}, h: {address: ":http"}}
defaults: {backend_tls: {ca: a.crt}}
pools: {p: {backends: {x: {url: "wss://h", tls: {certificate: b.crt, key: b.key}}}}}
routes: {r: {to: "pool://p", backend_tls: {ca: b.crt}}}`, nil},
		{"secrets", `
pools:
  p: {sticky: {cookie: a, secret: secret}, backends: {x: {url: "ws://h"}}}
  q: {sticky: {cookie: a, secret: short}, backends: {x: {url: "ws://h"}}}
  r: {sticky: {cookie: a, secret: no}, backends: {x: {url: "ws://h"}}}
routes: {}`, []string{
			`5:35: pool "q": secret "$DIR/short": has 15 bytes, wanted at least 16`,
			`6:35: pool "r": secret "$DIR/no": no such file or directory`,
		}},
		{"header values", `
defaults: {headers: {request: {set: {A: {file: secret}, B: {file: no}}}}}
pools: {p: {backends: {x: {url: "ws://h"}}, health: {http: {headers: {A: {file: secret}, B: {file: lines}}}}}}
routes:
  r: {match: {path: /r}, respond: {headers: {A: {file: empty.pem}}}}
  s: {match: {path: /s}, to: "ws://h", headers: {response: {default: {A: {file: blank}}, add: {A: [a, {file: long}], B: {file: crlf}}}}}`, []string{
			`3:67: file "$DIR/no": no such file or directory`,
			`4:100: pool "p": file "$DIR/lines": byte 0x0a is not allowed in a header`,
			`6:56: route "r": file "$DIR/empty.pem": is empty`,
			`7:81: route "s": file "$DIR/blank": wanted no leading or trailing blanks`,
			`7:99: route "s": file "$DIR/long": has 8193 bytes, wanted at most 8192`,
		}},
		{"missing", `
listeners: {s: {address: ":1", tls: {certificates: [{certificate: a.crt, key: no.key}, {certificate: no.crt, key: a.key}], client_ca: no.pem}}}
defaults: {backend_tls: {ca: no.pem}}
pools: {p: {backends: {x: {url: "wss://h", tls: {ca: no.pem, certificate: no.crt, key: no.key}}}}}
routes: {r: {to: "pool://p", backend_tls: {ca: no.pem}}}`, []string{
			`3:53: listener "s": key "$DIR/no.key": no such file or directory`,
			`3:88: listener "s": certificate "$DIR/no.crt": no such file or directory`,
			`3:135: listener "s": client_ca "$DIR/no.pem": no such file or directory`,
			`4:30: ca "$DIR/no.pem": no such file or directory`,
			`5:54: pool "p": ca "$DIR/no.pem": no such file or directory`,
			`5:75: pool "p": certificate "$DIR/no.crt": no such file or directory`,
			`5:88: pool "p": key "$DIR/no.key": no such file or directory`,
			`6:48: route "r": ca "$DIR/no.pem": no such file or directory`,
		}},
		{"wrong", `
listeners: {s: {address: "unix:nowhere/in.sock", tls: {certificates: [{certificate: a.crt, key: b.key}], client_ca: a.key}}, h: {address: ":no-such-service"}}
routes:
  r: {match: {path: /r}, to: "wss://h", backend_tls: {ca: empty.pem}}
  s: {match: {path: /s}, to: "wss://h", backend_tls: {ca: pipe}}
  t: {match: {path: /t}, to: "wss://h", backend_tls: {ca: .}}
  u: {match: {path: /u}, to: "wss://h", backend_tls: {ca: big.pem}}
  v: {match: {path: /v}, to: "wss://h", backend_tls: {certificate: a.key, key: a.crt}}`, []string{
			`3:26: listener "s": address "unix:$DIR/nowhere/in.sock": directory "$DIR/nowhere": no such file or directory`,
			`3:71: listener "s": certificate "$DIR/a.crt": with key "$DIR/b.key": private key does not match public key`,
			`3:117: listener "s": client_ca "$DIR/a.key": contains no PEM certificate`,
			`3:139: listener "h": address ":no-such-service": port "no-such-service": unknown service on this machine: write its number`,
			`5:59: route "r": ca "$DIR/empty.pem": contains no PEM certificate`,
			`6:59: route "s": ca "$DIR/pipe": is a named pipe, want a regular file`,
			`7:59: route "t": ca "$DIR": is a directory, want a regular file`,
			`8:59: route "u": ca "$DIR/big.pem": is larger than the limit of 1048576 bytes`,
			`9:68: route "v": certificate "$DIR/a.key": with key "$DIR/a.crt": failed to find certificate PEM data in certificate input`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, "routes.yaml")
			f := mustParse(t, path, "version: 1\n"+test.text)
			got := strings.ReplaceAll(CheckFiles(f).Error(), path+":", "")
			got = strings.ReplaceAll(got, dir, "$DIR")
			for _, line := range strings.Split(got, "\n") {
				if len(test.want) == 0 || !strings.HasPrefix(line, test.want[0]) {
					if line == "" && len(test.want) == 0 {
						return
					}
					t.Fatalf("got:\n%s\nwant next: %q", got, test.want)
				}
				test.want = test.want[1:]
			}
			if len(test.want) > 0 {
				t.Errorf("missing: %q", test.want)
			}
		})
	}
}

package cli

// How the commands ask a running proxy's admin API.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const defaultAdmin = "127.0.0.1:9901"

// The environment where a flag is missing.
const (
	adminVariable = "TUNNELFORM_ADMIN"
	tokenVariable = "TUNNELFORM_ADMIN_TOKEN"
)

// askFlags say which proxy to ask, and how.
type askFlags struct {
	admin     string
	tokenFile string
	ca        string
}

func (f *askFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.admin, "admin", "", "host:port, https://host:port or unix:/path; or $"+adminVariable)
	flags.StringVar(&f.tokenFile, "token-file", "", "a file with the admin token; or $"+tokenVariable)
	flags.StringVar(&f.ca, "admin-ca", "", "who signs the admin API's certificate, in PEM")
}

// adminClient asks one proxy. Its errors have exit codes.
type adminClient struct {
	admin string
	base  string
	token string
	http  *http.Client
}

func (f *askFlags) client() (*adminClient, error) {
	c := &adminClient{admin: cmp.Or(f.admin, os.Getenv(adminVariable), defaultAdmin), http: &http.Client{}}
	path, isUnix := strings.CutPrefix(c.admin, "unix:")
	address, secure := strings.CutPrefix(c.admin, "https://")
	if err := checkAdmin(address); err != nil {
		return nil, err
	}
	var err error
	if c.token, err = f.token(address); err != nil {
		return nil, err
	}
	transport := &http.Transport{}
	switch c.http.Transport = transport; {
	case isUnix:
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	case secure:
		c.base = c.admin
		transport.TLSClientConfig, err = f.tlsConfig()
	default:
		c.base = "http://" + address
		if host, _, _ := net.SplitHostPort(address); c.token != "" && !isLoopback(host) {
			return nil, usageErrorf("--admin %q: want https:// or loopback, as the token would go over the network for all to read", c.admin)
		}
	}
	return c, err
}

// token is the one that was given, or the one that a proxy on this machine has made.
func (f *askFlags) token(address string) (string, error) {
	if f.tokenFile != "" {
		text, err := regularfile.Read(f.tokenFile, regularfile.Named)
		if err != nil {
			return "", &exitError{code: exitNoRead, err: err}
		}
		return strings.TrimSpace(string(text)), nil
	}
	if text := os.Getenv(tokenVariable); text != "" {
		return text, nil
	}
	return findToken(address), nil
}

func (f *askFlags) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca == "" {
		return config, nil
	}
	text, err := regularfile.Read(f.ca, regularfile.Named)
	if err != nil {
		return nil, &exitError{code: exitNoRead, err: err}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, usageErrorf("--admin-ca %q: no certificate in it, want PEM", f.ca)
	}
	return config, nil
}

// maxAnswer bounds an answer that is read as a whole.
const maxAnswer = 64 << 20

// askTimeout bounds a call whose context has no deadline.
const askTimeout = time.Minute

// ask makes one call and reads its answer. The answer is decoded into out, unless that is
// nil.
func (c *adminClient) ask(ctx context.Context, method, path string, query url.Values, body, out any) ([]byte, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTimeout)
		defer cancel()
	}
	request, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.open(request)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	data, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err == nil && out != nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return nil, &exitError{code: exitNoRead, err: fmt.Errorf("the answer of %s: %w", c.admin, err)}
	}
	return data, nil
}

// stream makes a call whose answer is read as it comes, as long as ctx lasts.
func (c *adminClient) stream(ctx context.Context, path string, query url.Values, accept string) (io.ReadCloser, error) {
	request, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	return c.open(request)
}

// request makes a request. A body of bytes is a routes file, any other is sent as JSON.
func (c *adminClient) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	content, contentType := []byte(nil), ""
	switch b := body.(type) {
	case nil:
	case []byte:
		content, contentType = b, "application/yaml"
	default:
		var err error
		if content, err = json.Marshal(b); err != nil {
			return nil, err
		}
		contentType = "application/json"
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(content))
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

// open returns the body of a good answer.
func (c *adminClient) open(request *http.Request) (io.ReadCloser, error) {
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, &exitError{code: exitNoRead, err: err}
	}
	if answer.StatusCode/100 == 2 {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	return nil, c.refused(answer)
}

// refused is the error of an answer that is none: the caller's mistake has exit code 1, all
// else is a proxy that could not be asked.
func (c *adminClient) refused(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	var said statusapi.Error
	if json.Unmarshal(text, &said) != nil || said.Error == "" {
		said.Error = strings.TrimSpace(string(text))
	}
	err := fmt.Errorf("%s answered %s: %s", c.admin, answer.Status, printable.Line(said.Error))
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge:
		return &exitError{code: exitInvalid, err: err}
	case http.StatusUnauthorized:
		err = errors.Join(err, fmt.Errorf("give the token with --token-file or $%s", tokenVariable))
	}
	return &exitError{code: exitNoRead, err: err}
}

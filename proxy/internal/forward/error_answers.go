package forward

// Own bodies for errors: of answers that the proxy makes, and of a backend's.

import (
	"bytes"
	"html"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/h1"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// ErrorAnswers are a route's own bodies for errors. The zero value has none. It is not changed
// after it is made.
type ErrorAnswers struct {
	Pages    map[int]*ErrorPage // by status; 4 and 5 are for those of a class that have none
	Override []int              // statuses and classes of the backend's answers
}

// ErrorPage is one body.
type ErrorPage struct {
	ContentType string
	Data        []byte
	Text        *match.Text // instead of Data, where it has placeholders
}

// Page returns the body for an answer of the proxy's, nil if there is none.
func (e *ErrorAnswers) Page(status int) *ErrorPage {
	if page := e.Pages[status]; page != nil {
		return page
	}
	return e.Pages[status/100]
}

// replacement returns the body for an answer of the backend's, nil to leave it as it is.
func (e *ErrorAnswers) replacement(status int) *ErrorPage {
	if !slices.Contains(e.Override, status) && !slices.Contains(e.Override, status/100) {
		return nil
	}
	return e.Page(status)
}

// Body returns the body for one request. The error is a control byte.
func (p *ErrorPage) Body(values func() *match.Values) ([]byte, error) {
	if p.Text == nil {
		return p.Data, nil
	}
	text, err := BodyText(p.Text, p.ContentType, values())
	return []byte(text), err
}

// BodyText fills placeholders of a body in. What a request says must not become markup.
func BodyText(t *match.Text, contentType string, v *match.Values) (string, error) {
	var quote func(string) string
	if mediaType, _, _ := strings.Cut(contentType, ";"); strings.Contains(mediaType, "html") || strings.Contains(mediaType, "xml") {
		quote = html.EscapeString
	}
	return t.ExpandWith(v, quote)
}

// aboutBody are the headers that describe a body, which go with it.
var aboutBody = []string{
	"Content-Encoding", "Content-Language", "Content-Location", "Content-Disposition", "Content-Range", "Accept-Ranges",
	"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Etag", "Last-Modified", "Trailer",
}

// replaceBody gives an answer of the backend's the route's own body, if it has one for that
// status. An answer that continues a login of the connection stays: its body has to be read
// before the connection can be used again.
func (x *exchange) replaceBody(res *http.Response) error {
	page := x.hop.Policy.Errors.replacement(res.StatusCode)
	if page == nil || h1.AsksLogin(res.Header) {
		return nil
	}
	body, err := page.Body(x.hop.Values)
	if err != nil {
		return &BadRequestError{Reason: err.Error()}
	}
	res.Body.Close()
	for _, name := range aboutBody {
		res.Header.Del(name)
	}
	res.Header.Set("Content-Type", page.ContentType)
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	res.ContentLength, res.TransferEncoding, res.Trailer = int64(len(body)), nil, nil
	res.Body = io.NopCloser(bytes.NewReader(body))
	if x.in.Method == http.MethodHead {
		res.Body = http.NoBody
	}
	return nil
}

package routing

// A route's authentication: its entries, with the content of the files that they name.

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/internal/auth"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// auth returns the policy of a route's settings, nil for none, and a fingerprint of the
// content of its files: a user that leaves a file is a change of the route.
func (b *builder) auth(spec *routefile.Settings) (*auth.Policy, fingerprint, error) {
	if len(spec.Auth) == 0 {
		return nil, fingerprint{}, nil
	}
	if b.table.auth == nil {
		b.table.auth = auth.NewState()
	}
	files := &authFiles{}
	entries := make([]auth.Entry, len(spec.Auth))
	for i, e := range spec.Auth {
		entry, err := b.authEntry(e, files)
		if err != nil {
			return nil, fingerprint{}, fmt.Errorf("auth: %w", err)
		}
		entry.ID = auth.Fingerprint(fingerprintOf(lastingPart(e)))
		entries[i] = entry
	}
	return auth.New(b.table.auth, spec.Limits.AuthFailures, entries), sha256.Sum256(files.content), nil
}

// lastingPart is what must not change of an entry while tunnels that it has let in are open.
func lastingPart(e routefile.AuthEntry) routefile.AuthEntry {
	if e.JWT != nil {
		j := *e.JWT
		j.Headers, j.OnExpiry, j.Leeway = nil, routefile.OnExpiry{}, 0
		e.JWT = &j
	}
	return e
}

// authFiles reads the files of entries, and keeps what they hold for a fingerprint.
type authFiles struct{ content []byte }

func (f *authFiles) read(path string) ([]byte, error) {
	data, err := regularfile.Read(path, regularfile.Named)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	f.content = append(f.content, sum[:]...)
	return data, nil
}

// parsed reads a file and parses it. The error names the file.
func parsed[T any](f *authFiles, path string, parse func([]byte) (T, error)) (T, error) {
	data, err := f.read(path)
	if err != nil {
		var none T
		return none, err
	}
	v, err := parse(data)
	if err != nil {
		err = fmt.Errorf("%q: %w", path, err)
	}
	return v, err
}

func (b *builder) authEntry(e routefile.AuthEntry, files *authFiles) (out auth.Entry, err error) {
	switch {
	case e.JWT != nil:
		out.JWT, err = b.jwt(e.JWT, files)
	case e.Basic != nil:
		out.Basic = &auth.Basic{Realm: e.Basic.Realm, User: auth.ParseTemplate(e.Basic.User), Forward: forwarding(e.Basic.ForwardCredential)}
		out.Basic.Users, err = parsed(files, e.Basic.Users, auth.ParseUsers)
	case e.APIKey != nil:
		out.APIKeys = &auth.APIKeys{From: authPlaces(e.APIKey.From), Forward: forwarding(e.APIKey.ForwardCredential)}
		out.APIKeys.Keys, err = parsed(files, e.APIKey.Keys, auth.ParseKeyFile)
	case e.ClientCertificate != nil:
		c := e.ClientCertificate
		out.ClientCertificate = &auth.ClientCertificate{Names: templates(c.Names), SPIFFE: templates(c.SPIFFE), Header: c.Header}
	case e.Forward != nil:
		f := e.Forward
		out.Forward = &auth.Forward{URL: f.URL, Headers: f.Headers, Copy: f.Copy, User: f.User, Timeout: f.Timeout, Cache: max(f.Cache, 0)}
	}
	return out, err
}

func (b *builder) jwt(j *routefile.JWTAuth, files *authFiles) (*auth.JWT, error) {
	keys, err := b.tokenKeys(j.Keys, files)
	if err != nil {
		return nil, err
	}
	out := &auth.JWT{
		Issuer:     j.Issuer,
		Keys:       keys,
		Algorithms: j.Algorithms,
		From:       authPlaces(j.From),
		Leeway:     max(j.Leeway, 0),
		OnExpiry:   auth.OnExpiry{Keep: j.OnExpiry.Keep, Code: uint16(j.OnExpiry.Close), Reason: j.OnExpiry.Reason},
		Forward:    forwarding(j.ForwardCredential),
	}
	if !slices.Equal(j.Audience, []string{"any"}) {
		out.Audience = j.Audience
	}
	for _, c := range j.Claims {
		claim := auth.Claim{Name: c.Name, Value: auth.ParseTemplate(c.Value)}
		if c.Regex != "" {
			if claim.Regex, err = regexp.Compile(c.Regex); err != nil {
				return nil, err
			}
		}
		out.Claims = append(out.Claims, claim)
	}
	for header, claim := range j.Headers {
		out.Headers = append(out.Headers, auth.ClaimHeader{Header: header, Claim: claim})
	}
	return out, nil
}

func (b *builder) tokenKeys(k routefile.TokenKeys, files *authFiles) (auth.KeySource, error) {
	switch {
	case k.Secret != nil:
		return parsed(files, k.Secret.File, auth.ParseSecret)
	case k.File != "":
		return parsed(files, k.File, auth.ParseKeySet)
	}
	return b.table.auth.KeyURL(k.URL, k.Refresh), nil
}

func authPlaces(list []routefile.AuthPlace) []auth.Place {
	places := make([]auth.Place, len(list))
	for i, p := range list {
		switch {
		case p.Header == "Authorization":
			places[i] = auth.Place{Kind: auth.InAuthorization}
		case p.Header != "":
			places[i] = auth.Place{Kind: auth.InHeader, Name: p.Header}
		case p.Cookie != "":
			places[i] = auth.Place{Kind: auth.InCookie, Name: p.Cookie}
		case p.Query != "":
			places[i] = auth.Place{Kind: auth.InQuery, Name: p.Query}
		case p.Subprotocol == "k8s":
			places[i] = auth.Place{Kind: auth.InSubprotocol, Name: auth.KubernetesSubprotocol}
		default:
			places[i] = auth.Place{Kind: auth.InSubprotocol, Name: p.Subprotocol}
		}
	}
	return places
}

func templates(texts []string) []auth.Template {
	list := make([]auth.Template, len(texts))
	for i, text := range texts {
		list[i] = auth.ParseTemplate(text)
	}
	return list
}

func forwarding(s routefile.Switch) auth.Forwarding {
	switch s {
	case routefile.On:
		return auth.ForwardAlways
	case routefile.Off:
		return auth.ForwardNever
	}
	return auth.ForwardByPlace
}

// allowsIdentity says whether a tunnel that came in with that identity would still be let in.
func (rt *Route) allowsIdentity(f drain.Facts) bool {
	return rt.Auth == nil || rt.Auth.Still(f.Identity)
}

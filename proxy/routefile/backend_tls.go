package routefile

import "github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"

// TLS to backends: of a route, of one backend, of resolved backends.

// TLSSettings are for TLS to a backend, which is verified with the system's CA certificates by default.
type TLSSettings struct {
	CA          string // PEM file
	ServerName  string
	Certificate string // client certificate, PEM file
	Key         string
	Insecure    Switch // On: do not verify
}

// tlsKeys are the keys of TLS to a backend. Those of a route have defaults; those of a
// backend override the route's.
func tlsKeys(defaults bool) []*Key {
	type T = TLSSettings
	insecure := key("insecure", "Skips verification of the backend's certificate. For tests only.",
		toggle(func(t *T) *Switch { return &t.Insecure }), example("true"))
	if defaults {
		insecure.Default = "false"
	}
	return []*Key{
		key("ca", "PEM file of the CA certificates to trust instead of the system's.",
			file(func(t *T) *string { return &t.CA }), example("ca.pem")),
		key("server_name", "The server name (SNI) to send and to verify, instead of the target's host.",
			text(func(t *T) *string { return &t.ServerName }, httpsyntax.CheckHostName[string]), example("chat.internal")),
		key("certificate", "PEM file of the client certificate that the proxy presents.",
			file(func(t *T) *string { return &t.Certificate }), example("client.crt")),
		key("key", "PEM file of that certificate's key.",
			file(func(t *T) *string { return &t.Key }), example("client.key")),
		insecure,
	}
}

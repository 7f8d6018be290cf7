package routefile

// TLS towards backends, of a route and of one backend.

// TLSSettings towards a backend. Backends verify against the system's roots by default.
type TLSSettings struct {
	CA          string // PEM file
	ServerName  string
	Certificate string // client certificate, PEM file
	Key         string
	Insecure    Switch // On: verify nothing
}

// tlsKeys are a route's with defaults, and a backend's without: what a backend
// leaves unsaid is the route's.
func tlsKeys(defaults bool) []*Key {
	type T = TLSSettings
	insecure := key("insecure", "Verifies nothing: anyone may pose as the backend. For tests.",
		toggle(func(t *T) *Switch { return &t.Insecure }), example("true"))
	if defaults {
		insecure.Default = "false"
	}
	return []*Key{
		key("ca", "PEM file of the authorities to trust instead of the system's.",
			file(func(t *T) *string { return &t.CA }), example("ca.pem")),
		key("server_name", "The name that is asked for (SNI) and verified, instead of the host's.",
			text(func(t *T) *string { return &t.ServerName }, checkHostName), example("chat.internal")),
		key("certificate", "PEM file of the certificate that the proxy shows.",
			file(func(t *T) *string { return &t.Certificate }), example("client.crt")),
		key("key", "PEM file of that certificate's key.",
			file(func(t *T) *string { return &t.Key }), example("client.key")),
		insecure,
	}
}

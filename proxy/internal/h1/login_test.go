package h1

import (
	"net/http"
	"testing"
)

func TestLoginHeaders(t *testing.T) {
	for value, want := range map[string]bool{
		"NTLM": true, "ntlm TlRMTVNTUAAB": true, "Negotiate": true, "NEGOTIATE\tYII=": true,
		`Basic realm="a", NTLM`: true, "Negotiate, NTLM": true, " , NTLM": true,
		"": false, "Basic TlRMTQ==": false, "NTLMv3": false, `Digest realm="NTLM"`: false, "Bearer NTLM": false,
	} {
		if got := LogsIn(http.Header{"Authorization": {"Bearer x", value}}); got != want {
			t.Errorf("Authorization %q: %v, want %v", value, got, want)
		}
		if got := AsksLogin(http.Header{"Www-Authenticate": {value}}); got != want {
			t.Errorf("WWW-Authenticate %q: %v, want %v", value, got, want)
		}
		if AsksLogin(http.Header{"Proxy-Authenticate": {value}}) {
			t.Errorf("Proxy-Authenticate %q is none of a backend's", value)
		}
	}
}

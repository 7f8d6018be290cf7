package auth

// From plain data to a Policy.

// Entry is one way in: exactly one of the pointers is set.
type Entry struct {
	ID                Fingerprint // of what must not change under open tunnels
	JWT               *JWT
	Basic             *Basic
	APIKeys           *APIKeys
	ClientCertificate *ClientCertificate
	Forward           *Forward
}

// New returns the policy of the entries, in their order. failuresPerMinute is how many bad
// credentials a client may send in a minute; not positive is any number.
func New(s *State, failuresPerMinute int, entries []Entry) *Policy {
	g := guard{State: s, failuresPerMinute: failuresPerMinute}
	list := make([]entry, len(entries))
	for i, e := range entries {
		switch {
		case e.JWT != nil:
			list[i] = newJWTEntry(*e.JWT, g, e.ID)
		case e.Basic != nil:
			list[i] = &basicEntry{Basic: *e.Basic, guard: g, id: e.ID}
		case e.APIKeys != nil:
			list[i] = newAPIKeyEntry(*e.APIKeys, g, e.ID)
		case e.ClientCertificate != nil:
			list[i] = &certificateEntry{ClientCertificate: *e.ClientCertificate, id: e.ID}
		case e.Forward != nil:
			list[i] = forwardEntry{forwardService: s.service(e.ID, *e.Forward), id: e.ID}
		}
	}
	return newPolicy(list)
}

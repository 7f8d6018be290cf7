package proxytest

// A name server: what it answers is a test's to say, and to change.

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Service is one SRV record.
type Service struct {
	Target   string // with its last dot
	Port     uint16
	Priority uint16
	Weight   uint16
}

// NameServer answers over UDP. Its methods may be called concurrently. It ends
// with the test.
type NameServer struct {
	Addr string // host:port

	mu        sync.Mutex // guards all below
	addresses map[string][]string
	services  map[string][]Service
	broken    bool
}

// NewNameServer starts one that knows no names.
func NewNameServer(t testing.TB) *NameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &NameServer{Addr: conn.LocalAddr().String(), addresses: map[string][]string{}, services: map[string][]Service{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve(conn)
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return s
}

// SetAddresses says which addresses a name, with its last dot, has; none: no such name.
func (s *NameServer) SetAddresses(name string, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses[name] = addresses
}

// SetServices says which SRV records a name, with its last dot, has.
func (s *NameServer) SetServices(name string, services ...Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[name] = services
}

// Break has every question answered with a failure of the server's, or no longer.
func (s *NameServer) Break(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

func (s *NameServer) serve(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var question dnsmessage.Message
		if question.Unpack(buf[:n]) != nil || len(question.Questions) != 1 {
			continue
		}
		answer, err := s.answer(question).Pack()
		if err == nil {
			conn.WriteTo(answer, from)
		}
	}
}

func (s *NameServer) answer(m dnsmessage.Message) *dnsmessage.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := m.Questions[0]
	answer := &dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: m.Questions,
	}
	if s.broken {
		answer.RCode = dnsmessage.RCodeServerFailure
		return answer
	}
	name := strings.ToLower(q.Name.String())
	known := len(s.addresses[name]) + len(s.services[name])
	if known == 0 {
		answer.RCode = dnsmessage.RCodeNameError
		return answer
	}
	for _, body := range s.bodies(name, q.Type) {
		answer.Answers = append(answer.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: 1}, Body: body})
	}
	return answer
}

func (s *NameServer) bodies(name string, kind dnsmessage.Type) (bodies []dnsmessage.ResourceBody) {
	for _, text := range s.addresses[name] {
		switch a := netip.MustParseAddr(text); {
		case a.Is4() && kind == dnsmessage.TypeA:
			bodies = append(bodies, &dnsmessage.AResource{A: a.As4()})
		case a.Is6() && kind == dnsmessage.TypeAAAA:
			bodies = append(bodies, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	for _, r := range s.services[name] {
		if kind == dnsmessage.TypeSRV {
			bodies = append(bodies, &dnsmessage.SRVResource{Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: dnsmessage.MustNewName(r.Target)})
		}
	}
	return bodies
}

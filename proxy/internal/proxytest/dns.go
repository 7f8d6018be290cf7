package proxytest

// A name server whose records the test sets.

import (
	"encoding/binary"
	"io"
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

// NameServer answers over UDP and TCP. Its methods may be called concurrently. It ends
// with the test.
type NameServer struct {
	Addr string // host:port

	mu        sync.Mutex // guards all below
	addresses map[string][]string
	services  map[string][]Service
	broken    bool
	failing   map[string]bool
	truncates bool
}

// NewNameServer starts one without records.
func NewNameServer(t testing.TB) *NameServer {
	t.Helper()
	conn, listener := listenBoth(t)
	s := &NameServer{Addr: conn.LocalAddr().String(), addresses: map[string][]string{}, services: map[string][]Service{}, failing: map[string]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(conn) })
	serving.Go(func() { s.serveTCP(listener) })
	t.Cleanup(func() { conn.Close(); listener.Close(); serving.Wait() })
	return s
}

// listenBoth takes one port for both protocols.
func listenBoth(t testing.TB) (conn net.PacketConn, listener net.Listener) {
	t.Helper()
	for range 100 {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if conn, err = net.ListenPacket("udp", listener.Addr().String()); err == nil {
			return conn, listener
		}
		listener.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// SetAddresses sets the addresses of a name with its last dot; none: no such name.
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

// Fail has every question about a name, with its last dot, answered as Break does.
func (s *NameServer) Fail(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing[name] = true
}

// Truncate has every answer over UDP say that the rest is to be had over TCP.
func (s *NameServer) Truncate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truncates = true
}

func (s *NameServer) serve(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := s.reply(buf[:n], s.isTruncating()); answer != nil {
			conn.WriteTo(answer, from)
		}
	}
}

// serveTCP answers one question a connection.
func (s *NameServer) serveTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		var size uint16
		if binary.Read(conn, binary.BigEndian, &size) == nil {
			buf := make([]byte, size)
			if _, err := io.ReadFull(conn, buf); err == nil {
				answer := s.reply(buf, false)
				conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		}
		conn.Close()
	}
}

func (s *NameServer) isTruncating() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.truncates
}

// reply is nil for what is no question.
func (s *NameServer) reply(text []byte, truncated bool) []byte {
	var question dnsmessage.Message
	if question.Unpack(text) != nil || len(question.Questions) != 1 {
		return nil
	}
	m := s.answer(question)
	if truncated {
		m.Truncated, m.Answers = true, nil
	}
	answer, _ := m.Pack()
	return answer
}

func (s *NameServer) answer(m dnsmessage.Message) *dnsmessage.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := m.Questions[0]
	answer := &dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: m.Questions,
	}
	name := strings.ToLower(q.Name.String())
	if s.broken || s.failing[name] {
		answer.RCode = dnsmessage.RCodeServerFailure
		return answer
	}
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

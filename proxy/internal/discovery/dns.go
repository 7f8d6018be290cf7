package discovery

// DNS lookups: which servers a name leads to. One lookup is one question; polling
// and comparing answers is the poller's part.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Found is one server that a name leads to.
type Found struct {
	Authority string // host:port, an address or a name
	Host      string // for the Host header, SNI and verification; "" is Authority
	Weight    int    // not positive is 1
	Tier      int    // the lowest first
}

// Lookup asks once. An answer is sorted, has no server twice and is never empty: a
// name without addresses is an error, because a name server that has lost its zone
// answers the same.
type Lookup func(ctx context.Context) ([]Found, error)

// maxFound bounds what a name may lead to.
const maxFound = 1000

// LookupAddresses asks for the addresses (A and AAAA) of the host in a host:port.
// server, a host:port too, is the name server to ask; "" is the system's.
func LookupAddresses(server, authority string) Lookup {
	resolver := nameServer(server)
	return func(ctx context.Context) ([]Found, error) {
		host, port, err := net.SplitHostPort(authority)
		if err != nil {
			return nil, fmt.Errorf("looking up %q: %w", authority, err)
		}
		addresses, err := resolver.addresses(ctx, host)
		if err != nil {
			return nil, err
		}
		return resolver.answer(host, foundAt(addresses, port, authority), nil)
	}
}

func foundAt(addresses []netip.Addr, port, host string) (all []Found) {
	for _, a := range addresses {
		all = append(all, Found{Authority: net.JoinHostPort(a.Unmap().String(), port), Host: host})
	}
	return all
}

// LookupService asks for a name's SRV records (RFC 2782): targets with their
// ports, weights as they are, and each priority a tier. A server of its own is
// asked for the targets' addresses too: names such as Consul's exist nowhere
// else. Otherwise each connection looks its target up.
func LookupService(server, name string) Lookup {
	resolver := nameServer(server)
	return func(ctx context.Context) ([]Found, error) {
		records, err := resolver.services(ctx, name)
		if err != nil {
			return nil, err
		}
		all, err := foundBy(records)
		if err == nil && server != "" {
			all, err = resolver.locate(ctx, all)
		}
		return resolver.answer(name, all, err)
	}
}

func foundBy(records []*net.SRV) (all []Found, err error) {
	var priorities []int
	for _, r := range records {
		priorities = append(priorities, int(r.Priority))
	}
	slices.Sort(priorities)
	priorities = slices.Compact(priorities)
	for _, r := range records {
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		if host == "" {
			continue // "." says that there is no such service
		}
		if r.Port == 0 {
			return nil, fmt.Errorf("the SRV record of target %q has port 0", r.Target)
		}
		all = append(all, Found{
			Authority: net.JoinHostPort(host, strconv.Itoa(int(r.Port))),
			Weight:    max(int(r.Weight), 1),
			Tier:      slices.Index(priorities, int(r.Priority)),
		})
	}
	return all, nil
}

// tidyFound sorts, drops what stands twice, and refuses an answer of nothing. Which of two
// is kept does not depend on their order: resolvers shuffle SRV records, and an answer
// that changes nothing must not look like a new one.
func tidyFound(all []Found) ([]Found, error) {
	slices.SortFunc(all, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Authority, b.Authority), cmp.Compare(a.Tier, b.Tier),
			cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Host, b.Host))
	})
	all = slices.CompactFunc(all, func(a, b Found) bool { return a.Authority == b.Authority })
	switch {
	case len(all) == 0:
		return nil, errors.New("the name leads nowhere")
	case len(all) > maxFound:
		return nil, fmt.Errorf("the name leads to %d servers, wanted at most %d", len(all), maxFound)
	}
	return all, nil
}

// nameServer is the host:port of the name server to ask; "" is the system's.
type nameServer string

// answer is what the server said about name, or what is wrong with it.
func (s nameServer) answer(name string, all []Found, err error) ([]Found, error) {
	if err == nil {
		all, err = tidyFound(all)
	}
	switch {
	case err == nil:
		return all, nil
	case s == "":
		return nil, fmt.Errorf("lookup %s: %w", name, err)
	}
	return nil, fmt.Errorf("lookup %s on %s: %w", name, s, err) // as net.DNSError says it
}

func (s nameServer) resolver() *net.Resolver {
	if s == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, string(s))
	}}
}

func (s nameServer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addresses, err := s.resolver().LookupNetIP(ctx, "ip", s.complete(host))
	return addresses, s.blame(err)
}

func (s nameServer) services(ctx context.Context, name string) ([]*net.SRV, error) {
	_, records, err := s.resolver().LookupSRV(ctx, "", "", s.complete(name))
	if len(records) > 0 { // an error says that some are left out for their names
		return records, nil
	}
	return nil, s.blame(err)
}

// complete keeps the system's search domains away from another name server.
func (s nameServer) complete(name string) string {
	if s == "" || strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

// blame names the server that was asked: package net takes it to be the system's.
func (s nameServer) blame(err error) error {
	var dns *net.DNSError
	if s != "" && errors.As(err, &dns) {
		dns.Server = string(s)
	}
	return err
}

// lookupsAtOnce bounds the questions that one lookup has under way.
const lookupsAtOnce = 16

// locate puts the addresses of its target in each one's place. A target that
// does not exist is left out: it may have gone since its record was read.
func (s nameServer) locate(ctx context.Context, targets []Found) ([]Found, error) {
	if len(targets) > maxFound {
		return targets, nil // tidyFound refuses them
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	located := make([][]Found, len(targets))
	places := make(chan struct{}, lookupsAtOnce)
	var wg sync.WaitGroup
	for i, target := range targets {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			host, port, _ := net.SplitHostPort(target.Authority)
			addresses, err := s.addresses(ctx, host)
			var dns *net.DNSError
			if err != nil && !(errors.As(err, &dns) && dns.IsNotFound) {
				cancel(err)
			}
			for _, f := range foundAt(addresses, port, target.Authority) {
				f.Weight, f.Tier = target.Weight, target.Tier
				located[i] = append(located[i], f)
			}
		})
	}
	wg.Wait()
	return slices.Concat(located...), context.Cause(ctx)
}

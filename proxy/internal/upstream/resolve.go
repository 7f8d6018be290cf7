package upstream

// Discovery: which servers a name leads to. Answers are compared and kept by
// whoever asks; here a question is one question.

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
)

// Found is one server that a name leads to.
type Found struct {
	Authority string // host:port, an address or a name
	Called    string // how it is called where its address is not: Host header, SNI, verification; "" is Authority
	Weight    int    // not positive is 1
	Tier      int    // the lowest first
}

// Lookup asks once. An answer has no server twice, is sorted, and is never empty:
// a name that leads nowhere is an error, as a name server that has lost its zone
// says the same.
type Lookup func(ctx context.Context) ([]Found, error)

// maxFound bounds what a name may lead to.
const maxFound = 1000

// LookupAddresses asks for the addresses (A and AAAA) of the host in a host:port.
// server, a host:port too, is the name server to ask; "" is the system's.
func LookupAddresses(server, authority string) Lookup {
	resolver := resolverAt(server)
	return func(ctx context.Context) ([]Found, error) {
		host, port, err := net.SplitHostPort(authority)
		if err != nil {
			return nil, fmt.Errorf("looking up %q: %w", authority, err)
		}
		addresses, err := resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, err
		}
		return tidyFound(foundAt(addresses, port, authority))
	}
}

func foundAt(addresses []netip.Addr, port, called string) (all []Found) {
	for _, a := range addresses {
		all = append(all, Found{Authority: net.JoinHostPort(a.Unmap().String(), port), Called: called})
	}
	return all
}

// LookupService asks for a name's SRV records (RFC 2782): targets with their
// ports, weights as they are, and each priority a tier.
func LookupService(server, name string) Lookup {
	resolver := resolverAt(server)
	return func(ctx context.Context) ([]Found, error) {
		_, records, err := resolver.LookupSRV(ctx, "", "", name)
		if err != nil && len(records) == 0 { // some may have been left out for their names alone
			return nil, err
		}
		return tidyFound(foundBy(records))
	}
}

func foundBy(records []*net.SRV) (all []Found) {
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
		all = append(all, Found{
			Authority: net.JoinHostPort(host, strconv.Itoa(int(r.Port))),
			Weight:    max(int(r.Weight), 1),
			Tier:      slices.Index(priorities, int(r.Priority)),
		})
	}
	return all
}

// tidyFound sorts, drops what stands twice, and refuses an answer of nothing.
func tidyFound(all []Found) ([]Found, error) {
	slices.SortStableFunc(all, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Authority, b.Authority), cmp.Compare(a.Tier, b.Tier))
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

func resolverAt(server string) *net.Resolver {
	if server == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, server)
	}}
}

package routefile

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
)

// What a question does not say. The URL's port says which listener a request comes in by;
// where it does not, and where nobody said which client asks, routes that name one or the
// other may take the request all the same. Explain lists them as exceptions.

// Exception is a route that takes the request if it comes from certain clients, or by a
// certain listener, of which the question says nothing.
type Exception struct {
	Unless  string // "it comes from 127.0.0.1"
	Route   string
	Pattern string
	Outcome string
	Pos     Pos
}

// listenersOf returns the names of the listeners that a request for u may come in by, sorted:
// those that listen at its port or, if there is none, all of them, as something in front of
// the proxy may listen there. Of several that share the port, the one of u's own address.
func (s *Set) listenersOf(u *url.URL) []string {
	all := sortedNames(s.Listeners)
	port, asked := u.Port(), u.Hostname()
	if asked == "localhost" {
		asked = "127.0.0.1"
	}
	if port == "" {
		port = portOf[u.Scheme]
	}
	var names []string
	for _, name := range all {
		host, p, err := net.SplitHostPort(s.Listeners[name].Address)
		if named := portOf[p]; named != "" {
			p = named
		}
		switch {
		case strings.HasPrefix(s.Listeners[name].Address, "unix:") || err != nil || p != port:
		case host == asked:
			return []string{name}
		default:
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		return names
	}
	return all
}

// portOf is the ports of schemes, some of which are services' names too.
var portOf = map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}

// explainer answers one question.
type explainer struct {
	set   *Set
	q     Question
	names []string // of the routes, by the rules' index
	tree  *match.Tree
}

// exceptions returns the routes that go before the one that r takes, and match but for what
// r does not say, sorted by precedence.
func (x *explainer) exceptions(r *match.Request, listeners []string) ([]Exception, error) {
	var all []Exception
	for _, v := range x.tree.Explain(r) {
		if v.Wins {
			break
		}
		for _, maybe := range x.maybes(r, listeners, x.set.Routes[v.Rule].Route) {
			index, captures := x.lookup(maybe)
			if index < 0 || x.names[index] != v.Rule {
				continue
			}
			one, err := x.exception(r, maybe, index, captures)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
			break
		}
	}
	return all, nil
}

// maybes returns r with what route asks for in place of what is not known.
func (x *explainer) maybes(r *match.Request, listeners []string, route *Route) []*match.Request {
	maybe := *r
	if name := route.Match.Listener; r.Listener == "" && slices.Contains(listeners, name) {
		maybe.Listener = name
	}
	if r.Client.IsValid() || len(route.Match.Client) == 0 {
		if maybe.Listener == r.Listener {
			return nil
		}
		return []*match.Request{&maybe}
	}
	var all []*match.Request
	for _, p := range route.Match.Client {
		one := maybe
		one.Client = p.Addr()
		all = append(all, &one)
	}
	return all
}

func (x *explainer) exception(r, maybe *match.Request, index int, captures *match.Captures) (Exception, error) {
	route := x.set.Routes[x.names[index]]
	e := Exception{Route: x.names[index], Pattern: patternText(route.Route.Match), Pos: route.Route.Pos, Unless: "it comes"}
	if maybe.Client != r.Client {
		e.Unless += " from " + networksText(route.Route.Match.Client)
	}
	if maybe.Listener != r.Listener {
		e.Unless += " by listener " + maybe.Listener
	}
	var err error
	e.Outcome, err = x.outcome(index, maybe, captures)
	return e, err
}

func (x *explainer) lookup(r *match.Request) (index int, captures *match.Captures) {
	captures = new(match.Captures)
	return x.tree.Lookup(r, captures), captures
}

// maxNetworks is how many networks a line names.
const maxNetworks = 5

func networksText(list []netip.Prefix) string {
	var texts []string
	for _, p := range list[:min(len(list), maxNetworks)] {
		if p.IsSingleIP() {
			texts = append(texts, p.Addr().String())
		} else {
			texts = append(texts, p.String())
		}
	}
	if more := len(list) - maxNetworks; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more networks", more))
	}
	return oneOf(texts)
}

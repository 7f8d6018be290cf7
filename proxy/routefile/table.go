package routefile

// The table of keys: every key of the routes file, its meaning, its default and the field
// that it fills. This file has the top; each feature has its keys beside its record. The
// parser, the built-in defaults, the JSON Schema, the reference and the attributes of the
// Terraform provider are all made from it.

// key completes a Key with its name and its meaning.
func key(name, meaning string, k *Key, more ...func(*Key)) *Key {
	k.Name, k.Meaning = name, meaning
	for _, m := range more {
		m(k)
	}
	return k
}

func byDefault(yaml string) func(*Key)      { return func(k *Key) { k.Default = yaml } }
func example(yaml string) func(*Key)        { return func(k *Key) { k.Example = yaml } }
func enum(words ...string) func(*Key)       { return func(k *Key) { k.Enum = words } }
func pattern(re string) func(*Key)          { return func(k *Key) { k.Pattern = re } }
func exactlyOne(names ...string) func(*Key) { return func(k *Key) { k.ExactlyOne = names } }
func atMostOne(names ...string) func(*Key)  { return func(k *Key) { k.AtMostOne = names } }
func together(names ...string) func(*Key)   { return func(k *Key) { k.Together = names } }
func filled(k *Key)                         { k.Filled = true }
func required(k *Key)                       { k.Required = true }
func reserved(name, meaning string) *Key {
	return &Key{Name: name, Meaning: meaning, Kind: KindMapping, Reserved: true}
}

// document is the top level; its destination is a *File.
var document Key

func init() {
	document = *mapping(self[File], topKeys()...)
	document.finish("")
	builtIn = readBuiltIns()
}

const namePattern = `^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`

func topKeys() []*Key {
	return []*Key{
		key("version", "Version of the file format. Always 1.",
			versionKey(), required, example("1")),
		key("listeners", "Addresses to listen on, by name. Without any in the set of files there is one, web, on :8080.",
			named(func(f *File) map[string]*Listener { return f.Listeners }, newListener, listenerKeys()), pattern(namePattern), example(`{web: {address: ":8080"}}`)),
		key("trusted_proxies", "Networks of proxies in front whose X-Forwarded-* and Forwarded headers are trusted; those of other clients are dropped. Allowed in one file of a set.",
			networks(func(f *File) *[]prefix { return &f.TrustedProxies }), example("[10.0.0.0/8]")),
		key("defaults", "Default settings of the routes of this file, key by key.",
			optional(func(f *File) **Settings { return &f.Defaults }, settingsKeys()...),
			example("{timeouts: {connect: 3s}}")),
		key("shutdown", "What happens on SIGTERM. Allowed in one file of a set.",
			optional(func(f *File) **Shutdown { return &f.Shutdown }, shutdownKeys()...),
			example("{delay: 5s, window: 15s}")),
		key("pools", "Pools of backends, by name. The target pool://NAME sends to one of its backends.",
			named(func(f *File) map[string]*Pool { return f.Pools }, newPool, poolKeys(), exactlyOne("backends", "resolve")), pattern(namePattern), example(`{rooms: {backends: {a: {url: "ws://10.0.0.1:9000"}}}}`)),
		key("routes", "Routes, by name. Their order has no meaning. Write {} to serve nothing.",
			named(func(f *File) map[string]*Route { return f.Routes }, newRoute, routeKeys(), exactlyOne("to", "redirect", "respond")), afterwards(routesWritten), pattern(namePattern), example(`{echo: {match: {path: /echo}, to: "internal://echo"}}`)),
	}
}

package match

// Tree is an immutable set of rules, compiled for lookup. All methods may be
// called concurrently.
type Tree struct{}

// Captures is what the winning rule captured.
type Captures struct{}

// Template puts captures into a target's path or query.
type Template struct{}

// Verdict is what Explain says of one rule.
type Verdict struct {
	Index   int    // into the rules given to Compile
	Rule    string // its name
	Matches bool
	Wins    bool   // the one that Lookup answers
	Reason  string // the first condition that failed, in the user's words; "" when the rule matches
}

func Compile(rules []Rule) (*Tree, []Problem)                           { return &Tree{}, nil }
func (t *Tree) Lookup(r *Request, c *Captures) int                      { return -1 }
func (t *Tree) PrefixLen(rule int) int                                  { return 0 }
func (t *Tree) Explain(r *Request) []Verdict                            { return nil }
func (c *Captures) Get(name string) (string, bool)                      { return "", false }
func (c *Captures) Index(i int) (string, bool)                          { return "", false }
func Compare(a, b Rule) int                                             { return 0 }
func Conflicts(rules []Rule) []Problem                                  { return nil }
func ParseTemplate(s string) (*Template, error)                         { return &Template{}, nil }
func (t *Template) Refs() []string                                      { return nil }
func (t *Template) CheckPath() error                                    { return nil }
func CheckRefs(t *Template, p Path) error                               { return nil }
func (t *Template) AppendPath(dst []byte, c *Captures) ([]byte, error)  { return dst, nil }
func (t *Template) AppendQuery(dst []byte, c *Captures) ([]byte, error) { return dst, nil }

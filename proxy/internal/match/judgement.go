package match

// What a judgement may cost. The verdict on a set of rules must be a function of
// the rules alone: a machine that is slow or busy, or has judged them before,
// must not come to another one. So cost is counted in steps of automata and
// never in time, every pair pays for itself whatever is remembered of it, and
// pairs are looked at in the order of rules.

import (
	"context"
	"regexp/syntax"
)

const (
	// PairSteps bounds the walk through the automata of two rules: some
	// milliseconds at most, and far above what patterns written by people need.
	PairSteps = 20_000
	// SetSteps bounds all walks of a set together: about a second.
	SetSteps = 20_000_000
	// HiddenSteps bounds the search for rules that hide others: about two seconds.
	HiddenSteps = 100_000_000

	// lookSteps is the price of looking at a pair at all.
	lookSteps = 4
	// rememberedSize bounds the programs that are kept, in the steps that they cost.
	rememberedSize = 1 << 19
)

// judgement is one judgement of a set under way. Not for concurrent use.
type judgement struct {
	ctx   context.Context
	left  int         // of SetSteps
	pair  int         // of PairSteps, of what is compared now
	spent map[int]int // on the pairs of a rule, by its index

	programs map[string]*program
	size     int // of programs
}

func newJudgement(ctx context.Context) *judgement {
	return &judgement{ctx: ctx, left: SetSteps, spent: make(map[int]int), programs: make(map[string]*program)}
}

// cancelled reports whether nobody wants to know any more.
func (j *judgement) cancelled() bool { return j.ctx.Err() != nil }

// over reports whether the set's steps are spent.
func (j *judgement) over() bool { return j.left <= 0 }

// begin starts to count for something new.
func (j *judgement) begin() { j.pair = PairSteps }

// end pays for what was compared, a pair or one rule alone.
func (j *judgement) end(rules ...*rule) {
	cost := lookSteps + min(PairSteps-j.pair, PairSteps)
	j.left -= cost
	for _, r := range rules {
		j.spent[r.index] += cost
	}
}

// program is what a regex compiles to, and what all its machines share.
type program struct {
	*syntax.Prog           // nil if it is too large for any pair
	price        int       // steps
	anchored     bool      // a match begins where the text does, or may as well
	sets         []runeSet // the runes that each instruction takes
	class        *[128]uint8
}

// program returns the program of a regex, nil if it is too large for the pair.
// It costs the same whether it is remembered or not.
func (j *judgement) program(text string) *program {
	const perOne = 4 // of an instruction: to compile one takes longer than to pass it
	p := j.programs[text]
	if p == nil {
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			panic("match: comparing regexes: " + err.Error()) // rules are compiled before they are compared
		}
		p = &program{price: perOne * instructions(tree), anchored: text == "" || isAnchored(tree)}
		if p.price <= PairSteps {
			p.Prog = compileProgram(tree)
		}
		j.remember(text, p)
	}
	if j.pair -= p.price; j.pair <= 0 {
		return nil
	}
	return p
}

func (j *judgement) remember(text string, p *program) {
	if j.size += p.price + len(text); j.size > rememberedSize {
		clear(j.programs)
		j.size = p.price + len(text)
	}
	j.programs[text] = p
}

func compileProgram(tree *syntax.Regexp) *syntax.Prog {
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		panic("match: comparing regexes: " + err.Error())
	}
	return prog
}

// instructions is no less than what re compiles to, and not much more. It is
// known without compiling: a repetition of repetitions is a few bytes long and
// may take megabytes.
func instructions(re *syntax.Regexp) int {
	const most = 1 << 40 // no sum overflows
	n := 0
	for _, sub := range re.Sub {
		n = min(n+instructions(sub), most)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return max(len(re.Rune), 1)
	case syntax.OpConcat:
		return max(n, 1)
	case syntax.OpAlternate:
		return n + len(re.Sub)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpCapture:
		return n + 2
	case syntax.OpRepeat:
		if re.Max < 0 {
			return min((n+1)*max(re.Min, 1)+2, most)
		}
		return min((n+1)*max(re.Max, 1)+2, most)
	}
	return 1
}

// compiledSize is about how many bytes a regex takes when it is compiled.
func compiledSize(tree *syntax.Regexp) int {
	const (
		fixed  = 256 // of a regexp.Regexp
		perOne = 40  // of a syntax.Inst
	)
	return fixed + perOne*(instructions(tree)+3) + 4*runesIn(tree)
}

func runesIn(re *syntax.Regexp) int {
	n := len(re.Rune)
	for _, sub := range re.Sub {
		n += runesIn(sub)
	}
	return n
}

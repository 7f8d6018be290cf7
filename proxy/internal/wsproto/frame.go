package wsproto

// Frames: the header walk through a stream that arrives in any split, and the
// writers of the few frames that a proxy says itself.
//
// The walk never unmasks or buffers a payload. It reads a header only when all
// of it is there, and a control frame only when all of it is there; the caller
// keeps the few bytes of an unfinished one (at most MaxHeld) in front of what
// it reads next. What the caller passes on is therefore always whole headers
// and whole control frames: so a frame that breaks a limit, and a pong that
// answers the proxy's own ping, can be stopped before their first byte has gone
// out, and the direction is still between two frames.

import (
	"encoding/binary"
	"math"
)

// Opcode is a frame's kind (RFC 6455 section 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines; 0x8 and above are control frames.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

func (o Opcode) control() bool { return o&0x8 != 0 }

const (
	bitFin     = 0x80
	bitsRSV    = 0x70
	bitRSV1    = 0x40
	bitsOpcode = 0x0F
	bitMask    = 0x80
	bitsLength = 0x7F

	maxControl = 125
	maxHeader  = 14
)

// MaxHeld is the most bytes of an unfinished header or control frame that a
// caller of Walker.Next has to keep: one less than the longest control frame.
const MaxHeld = 2 + 4 + maxControl - 1

// Rules say what a direction's frames must look like.
type Rules struct {
	Masked     bool  // masked, as a client's must be; or unmasked, as a server's
	RSV        byte  // reserved bits (0x40, 0x20, 0x10) that a negotiated extension owns
	MaxFrame   int64 // payload bytes a data frame may have; 0 is any
	MaxMessage int64 // payload bytes a message may have, all its frames; 0 is any
}

// Step is what Walker.Next found.
type Step uint8

const (
	// StepMore: the bytes are the beginning of a header or control frame (or
	// none). Nothing was taken; keep them and ask again with more behind them.
	StepMore Step = iota
	// StepPart: bytes inside a data frame, whose end is still to come; or, once
	// the walker is blind, just bytes.
	StepPart
	// StepFrame: the end of a data frame; its message goes on.
	StepFrame
	// StepMessage: the end of a message's last data frame. Event.Size is the
	// message's payload, all its frames.
	StepMessage
	// StepPing, StepPong and StepClose: a whole control frame.
	StepPing
	StepPong
	StepClose
	// StepTooBig: the data frame that begins here breaks a limit. Nothing was
	// taken. Event.Size is the payload of the message so far with this frame.
	StepTooBig
	// StepViolation: what begins here breaks RFC 6455, as Event.Fault says.
	// Nothing was taken. The walker is blind from here on.
	StepViolation
)

// Event is one step of a walk.
type Event struct {
	Step  Step
	Op    Opcode // the frame's, where Step is about one
	Fault Fault  // of a StepViolation
	Size  int64  // payload bytes; see the steps
}

// Fault is a way to break RFC 6455.
type Fault uint8

const (
	FaultNone         Fault = iota
	FaultReserved           // a reserved bit that no extension owns (5.2; RSV1: RFC 7692 section 6)
	FaultOpcode             // a reserved opcode (5.2)
	FaultMask               // masked or unmasked, the wrong way round (5.1)
	FaultFragment           // a fragmented control frame (5.5)
	FaultControlSize        // a control frame over 125 bytes (5.5)
	FaultLength             // a length not in its shortest form, or with the top bit (5.2)
	FaultContinuation       // a continuation of no message (5.4)
	FaultInterleaved        // a new message inside a fragmented one (5.4)
	FaultClosePayload       // a Close of 1 byte, with a bad code, or a reason that is not UTF-8 (5.5.1, 7.4)
)

var faultNames = [...]string{
	FaultNone:         "no fault",
	FaultReserved:     "reserved bit set without an extension",
	FaultOpcode:       "reserved opcode",
	FaultMask:         "wrong mask bit",
	FaultFragment:     "fragmented control frame",
	FaultControlSize:  "control frame over 125 bytes",
	FaultLength:       "length not minimal or over 63 bits",
	FaultContinuation: "continuation without a message",
	FaultInterleaved:  "new message inside a fragmented one",
	FaultClosePayload: "bad close payload",
}

// String describes the fault in a few words, short enough for a close reason.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return "unknown fault"
}

// Walker walks one direction's frames. It is a small value without pointers:
// copy it, keep a million of them in a slice. One goroutine at a time.
//
// Invariant: left > 0 exactly inside a data frame's payload.
type Walker struct {
	left       uint64 // payload bytes of the open data frame still to come
	size       uint64 // payload bytes of the open message, the open frame's all included
	maxFrame   uint64
	maxMessage uint64
	rsv        byte // bits that may be set
	mask       byte // the mask bit that every frame must have
	fin        bool // the open frame is its message's last
	inMessage  bool // within a message, before its last frame
	blind      bool
	op         Opcode // of the open frame
	kind       Opcode // of the first frame of the message
}

// NewWalker returns a walker at the first frame of a direction.
func NewWalker(r Rules) Walker {
	w := Walker{rsv: r.RSV & bitsRSV, maxFrame: limit(r.MaxFrame), maxMessage: limit(r.MaxMessage)}
	if r.Masked {
		w.mask = bitMask
	}
	return w
}

func limit(n int64) uint64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return uint64(n)
}

// Between reports whether the direction is between two frames, where a
// frame may be put in. (Between two frames of one message too: RFC 6455
// section 5.4 lets control frames in there.) Never, once blind.
func (w *Walker) Between() bool { return w.left == 0 && !w.blind }

// BetweenMessages reports whether the direction is between two messages: what
// came before may be left behind, and what comes next needs nothing of it (but what
// an extension remembers). Never, once blind.
func (w *Walker) BetweenMessages() bool { return w.Between() && !w.inMessage }

// Blind reports whether a violation has ended the walk.
func (w *Walker) Blind() bool { return w.blind }

// Kind is the opcode of the message that is open, or has just ended: that of its first frame.
func (w *Walker) Kind() Opcode { return w.kind }

// Remaining is how many payload bytes of the open data frame are still to come:
// so many may go by unseen, as long as Skip hears of them.
func (w *Walker) Remaining() int64 { return int64(w.left) }

// Skip takes n payload bytes (1 <= n <= Remaining) that were moved without being looked
// at, and returns the step that they end with.
func (w *Walker) Skip(n int64) Event {
	w.left -= uint64(n)
	return w.afterPayload()
}

// Unlimit drops the size limits: after a StepTooBig, to walk on over the frame.
func (w *Walker) Unlimit() { w.maxFrame, w.maxMessage = math.MaxInt64, math.MaxInt64 }

// Next takes the front of p: n bytes, up to and with the step it returns. The
// steps but StepPart and StepMore come at the same places however the stream is
// split.
func (w *Walker) Next(p []byte) (n int, ev Event) {
	if len(p) == 0 {
		return 0, Event{}
	}
	if w.blind {
		return len(p), Event{Step: StepPart}
	}
	if w.left == 0 {
		n, ev = w.header(p)
		if n == 0 || ev.Step != StepPart {
			return n, ev
		}
	}
	took := min(uint64(len(p)-n), w.left)
	w.left -= took
	return n + int(took), w.afterPayload()
}

// afterPayload is the step behind payload bytes that were just taken.
func (w *Walker) afterPayload() Event {
	switch {
	case w.left > 0:
		return Event{Step: StepPart, Op: w.op}
	case !w.fin:
		return Event{Step: StepFrame, Op: w.op, Size: int64(w.size)}
	}
	return Event{Step: StepMessage, Op: w.op, Size: int64(w.size)}
}

// header reads the frame header at the front of p. For a data frame it opens
// the frame and returns the header's length with StepPart; a control frame it
// takes whole.
func (w *Walker) header(p []byte) (n int, ev Event) {
	if fault := w.judge(p); fault != FaultNone {
		return w.violate(fault)
	}
	n, length, ok := frameLength(p)
	if !ok {
		if n > 0 {
			return w.violate(FaultLength)
		}
		return 0, Event{}
	}
	op := Opcode(p[0] & bitsOpcode)
	if op.control() {
		return w.control(p, op, n, int(length))
	}
	return w.data(p[0], op, n, length)
}

func (w *Walker) violate(f Fault) (int, Event) {
	w.blind = true
	return 0, Event{Step: StepViolation, Fault: f}
}

// judge finds what is wrong with a header's first two bytes. The first byte
// alone is never judged, so that a fault does not depend on the split.
func (w *Walker) judge(p []byte) Fault {
	if len(p) < 2 {
		return FaultNone
	}
	op := Opcode(p[0] & bitsOpcode)
	switch {
	case p[0]&bitsRSV&^w.mayReserve(op) != 0:
		return FaultReserved
	case p[1]&bitMask != w.mask:
		return FaultMask
	case op.control():
		return judgeControl(op, p)
	case op > OpBinary:
		return FaultOpcode
	case op == OpContinuation && !w.inMessage:
		return FaultContinuation
	case op != OpContinuation && w.inMessage:
		return FaultInterleaved
	}
	return FaultNone
}

// mayReserve is the reserved bits that a frame may have: RSV1, which is
// permessage-deflate's, on a message's first frame only (RFC 7692 section 6).
func (w *Walker) mayReserve(op Opcode) byte {
	if op == OpContinuation || op.control() {
		return w.rsv &^ bitRSV1
	}
	return w.rsv
}

func judgeControl(op Opcode, p []byte) Fault {
	switch {
	case op > OpPong:
		return FaultOpcode
	case p[0]&bitFin == 0:
		return FaultFragment
	case p[1]&bitsLength > maxControl:
		return FaultControlSize
	}
	return FaultNone
}

// frameLength reads the header's and the payload's length. Not ok with n == 0:
// the header is not all there. Not ok with n > 0: the length breaks RFC 6455
// section 5.2.
func frameLength(p []byte) (n int, length uint64, ok bool) {
	if len(p) < 2 {
		return 0, 0, false
	}
	n, length = 2, uint64(p[1]&bitsLength)
	lowest := uint64(0)
	switch length {
	case 126:
		n, lowest = 4, 126
	case 127:
		n, lowest = 10, 1<<16
	}
	if len(p) < n {
		return 0, 0, false
	}
	switch n {
	case 4:
		length = uint64(binary.BigEndian.Uint16(p[2:]))
	case 10:
		length = binary.BigEndian.Uint64(p[2:])
	}
	if length < lowest || length > math.MaxInt64 {
		return n, length, false
	}
	if p[1]&bitMask != 0 {
		n += 4
	}
	if len(p) < n {
		return 0, 0, false
	}
	return n, length, true
}

// control takes a control frame if all of it is there. A Close is read, since
// its payload can break the RFC too.
func (w *Walker) control(p []byte, op Opcode, n, length int) (int, Event) {
	if len(p) < n+length {
		return 0, Event{}
	}
	step := StepClose
	switch op {
	case OpPing:
		step = StepPing
	case OpPong:
		step = StepPong
	default:
		var buf [maxControl]byte
		if _, _, err := ParseClosePayload(ControlPayload(buf[:0], p[:n+length])); err != nil {
			n, ev := w.violate(FaultClosePayload)
			ev.Op = OpClose
			return n, ev
		}
	}
	return n + length, Event{Step: step, Op: op, Size: int64(length)}
}

// data opens a data frame.
func (w *Walker) data(first byte, op Opcode, n int, length uint64) (int, Event) {
	size := length
	if op == OpContinuation {
		size = min(w.size+length, math.MaxInt64) // cannot wrap: both are under 1<<63
	}
	if length > w.maxFrame || size > w.maxMessage {
		return 0, Event{Step: StepTooBig, Op: op, Size: int64(size)}
	}
	if op != OpContinuation {
		w.kind = op
	}
	w.op, w.left, w.size = op, length, size
	w.fin = first&bitFin != 0
	w.inMessage = !w.fin
	return n, Event{Step: StepPart, Op: op}
}

// ControlLen is the length of the control frame at the front of p, header
// included, from its first two bytes.
func ControlLen(p []byte) int {
	n := 2 + int(p[1]&bitsLength)
	if p[1]&bitMask != 0 {
		n += 4
	}
	return n
}

// ControlPayload appends the unmasked payload of a whole control frame, as Next
// delimited it, to dst.
func ControlPayload(dst, frame []byte) []byte {
	n := int(frame[1] & bitsLength)
	if frame[1]&bitMask == 0 {
		return append(dst, frame[2:2+n]...)
	}
	for i, b := range frame[6 : 6+n] {
		dst = append(dst, b^frame[2+i&3])
	}
	return dst
}

// AppendFrame appends one unfragmented frame to dst. A mask is needed towards a
// server, fresh for every frame (RFC 6455 section 5.3), and must be nil towards
// a client.
func AppendFrame(dst []byte, op Opcode, payload []byte, mask *[4]byte) []byte {
	var masked byte
	if mask != nil {
		masked = bitMask
	}
	dst = append(dst, bitFin|byte(op))
	switch n := len(payload); {
	case n <= 125:
		dst = append(dst, masked|byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
	if mask == nil {
		return append(dst, payload...)
	}
	dst = append(dst, mask[:]...)
	for i, b := range payload {
		dst = append(dst, b^mask[i&3])
	}
	return dst
}

package wsproto

// Close codes: their names, which of them may travel in a frame, and the
// payload of a Close frame.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Close codes: RFC 6455 section 7.4.1, and the IANA registry for 1012 to 1014.
const (
	CloseNormal             uint16 = 1000
	CloseGoingAway          uint16 = 1001
	CloseProtocolError      uint16 = 1002
	CloseUnsupportedData    uint16 = 1003
	CloseNoStatus           uint16 = 1005 // stands for an empty payload; never on the wire
	CloseAbnormal           uint16 = 1006 // stands for no Close frame; never on the wire
	CloseInvalidPayload     uint16 = 1007
	ClosePolicyViolation    uint16 = 1008
	CloseMessageTooBig      uint16 = 1009
	CloseMandatoryExtension uint16 = 1010
	CloseInternalError      uint16 = 1011
	CloseServiceRestart     uint16 = 1012
	CloseTryAgainLater      uint16 = 1013
	CloseBadGateway         uint16 = 1014
	CloseTLSHandshake       uint16 = 1015 // never on the wire
)

// MaxCloseReason is how many bytes of reason fit into a Close frame: a control
// frame's 125, less the code (RFC 6455 section 5.5).
const MaxCloseReason = maxControl - 2

var closeNames = map[uint16]string{
	CloseNormal:             "normal",
	CloseGoingAway:          "going_away",
	CloseProtocolError:      "protocol_error",
	CloseUnsupportedData:    "unsupported_data",
	CloseNoStatus:           "no_status",
	CloseAbnormal:           "abnormal",
	CloseInvalidPayload:     "invalid_payload",
	ClosePolicyViolation:    "policy_violation",
	CloseMessageTooBig:      "message_too_big",
	CloseMandatoryExtension: "mandatory_extension",
	CloseInternalError:      "internal_error",
	CloseServiceRestart:     "service_restart",
	CloseTryAgainLater:      "try_again_later",
	CloseBadGateway:         "bad_gateway",
	CloseTLSHandshake:       "tls_handshake",
}

// CloseName names a close code in one word, for logs and metrics: "registered"
// for 3000 to 3999, "private" for 4000 to 4999 (RFC 6455 section 7.4.2), and
// "reserved" for what is not defined.
func CloseName(code uint16) string {
	if name, ok := closeNames[code]; ok {
		return name
	}
	switch {
	case code >= 3000 && code <= 3999:
		return "registered"
	case code >= 4000 && code <= 4999:
		return "private"
	}
	return "reserved"
}

// ValidOnWire reports whether a Close frame may carry the code: those that are
// defined (but 1004 to 1006 and 1015, which are reserved), and 3000 to 4999.
func ValidOnWire(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

var (
	errCloseOneByte = errors.New("close payload of 1 byte, want none or a code of 2 bytes")
	errCloseTooLong = errors.New("close payload over 125 bytes")
	errCloseNotUTF8 = errors.New("close reason is not UTF-8")
)

// ParseClosePayload reads a Close frame's unmasked payload: CloseNoStatus for an
// empty one. With an error, code and reason are still what could be read, since
// a log wants them: code 0 where there was none, reason empty if not UTF-8.
func ParseClosePayload(p []byte) (code uint16, reason string, err error) {
	switch {
	case len(p) == 0:
		return CloseNoStatus, "", nil
	case len(p) == 1:
		return 0, "", errCloseOneByte
	case len(p) > maxControl:
		return 0, "", errCloseTooLong
	}
	code = binary.BigEndian.Uint16(p)
	if !utf8.Valid(p[2:]) {
		return code, "", errCloseNotUTF8
	}
	reason = string(p[2:])
	if !ValidOnWire(code) {
		return code, reason, fmt.Errorf("close code %d, want 1000-1003, 1007-1014 or 3000-4999", code)
	}
	return code, reason, nil
}

// AppendClose appends a Close frame to dst: with code and reason, or without a
// payload for code 0 and CloseNoStatus. A reason that does not fit is cut at a
// character's boundary to MaxCloseReason bytes. A mask is needed towards a
// server, and must be nil towards a client.
func AppendClose(dst []byte, code uint16, reason string, mask *[4]byte) []byte {
	if code == 0 || code == CloseNoStatus {
		return AppendFrame(dst, OpClose, nil, mask)
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, maxControl), code)
	payload = append(payload, TrimReason(reason)...)
	return AppendFrame(dst, OpClose, payload, mask)
}

// TrimReason cuts a reason to what a Close frame can carry: valid UTF-8 of at
// most MaxCloseReason bytes.
func TrimReason(reason string) string {
	n := 0
	for n < len(reason) {
		r, size := utf8.DecodeRuneInString(reason[n:])
		if r == utf8.RuneError && size <= 1 || n+size > MaxCloseReason {
			break
		}
		n += size
	}
	return reason[:n]
}

package tunnel

// Rules of time that both engines keep, as functions of what an engine knows of
// a tunnel. Times are on the engine's own clock.

import "time"

const (
	// halfClosedSilence bounds a WebSocket tunnel whose peer has half-closed
	// without a Close frame. Such a peer cannot answer a ping: only taking bytes
	// shows that it is there, and with none to take it is given up.
	halfClosedSilence = time.Minute
	// closeExtension is how many close timeouts the receiver of a Close frame has
	// in all while it goes on sending and its peer takes that.
	closeExtension = 4
)

// halfClosedDue is when a WebSocket tunnel ends because one side has half-closed
// without a Close frame. ended is when it did, took when it last took bytes;
// offered is when bytes for it last came, and waiting says that some of them wait.
// ping and pong are the times in which a silent peer is found out otherwise.
func halfClosedDue(ended, took, offered time.Duration, waiting bool, ping, pong time.Duration) time.Duration {
	if !waiting {
		return max(ended, took) + halfClosedSilence
	}
	patience := halfClosedSilence
	if ping > 0 {
		patience = ping + pong
	}
	return max(ended, took, offered) + patience
}

// closeDue is when the receiver of a Close frame has had its time. deadline is
// close_timeout after the frame was handed to the receiver's socket, answered when
// the sender of the Close last took bytes of the receiver's, and latest the time
// from which those move the deadline no more. Nothing that the sender of the Close
// sends has a part in it.
func closeDue(deadline, answered, latest, timeout time.Duration) time.Duration {
	return max(deadline, min(answered+timeout, latest))
}

// latestClose is closeDue's latest for a Close frame that was read now. lifetimeEnd
// is when the tunnel's lifetime is over; 0 is never.
func latestClose(now, timeout, lifetimeEnd time.Duration) time.Duration {
	latest := now + closeExtension*timeout
	if lifetimeEnd > 0 {
		latest = min(latest, lifetimeEnd)
	}
	return latest
}

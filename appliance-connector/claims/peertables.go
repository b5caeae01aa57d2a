package claims

import "sync"

// waitingAsks brings answers to whoever asked.
type waitingAsks struct {
	mu   sync.Mutex
	byID map[id]chan<- peerMessage
}

func (w *waitingAsks) add(i id, inbox chan<- peerMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = make(map[id]chan<- peerMessage)
	}
	w.byID[i] = inbox
}

func (w *waitingAsks) remove(i id) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID, i)
}

// deliver never waits: an inbox that is full has its answers already.
func (w *waitingAsks) deliver(m peerMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if inbox := w.byID[m.ID]; inbox != nil {
		select {
		case inbox <- m:
		default:
		}
	}
}

// recentAsks remembers the answers to the last asks, so that an ask that comes again is not answered
// anew. It holds between one and two generations; older ones are answered anew, which changes nothing.
type recentAsks struct {
	mu       sync.Mutex
	now, old map[id][]byte // nil while being answered
}

const recentGeneration = 8192

func (r *recentAsks) begin(i id) (answer []byte, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range []map[id][]byte{r.now, r.old} {
		if a, found := m[i]; found {
			return a, false
		}
	}
	if r.now == nil || len(r.now) >= recentGeneration {
		r.now, r.old = make(map[id][]byte), r.now
	}
	r.now[i] = nil
	return nil, true
}

func (r *recentAsks) finish(i id, answer []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range []map[id][]byte{r.now, r.old} {
		if _, found := m[i]; found {
			m[i] = answer
		}
	}
}

func (r *recentAsks) forget(i id) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, i)
	delete(r.old, i)
}

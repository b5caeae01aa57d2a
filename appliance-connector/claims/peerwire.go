package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// What travels between two appliances: one sealed JSON message in one UDP datagram. It is sealed
// under a key derived from the enterprise's, so nobody else makes or reads one. JSON, so that an
// appliance one release older or newer leaves out what it does not know.
//
//	ask     is this claim free?          answered by
//	answer  with the id of the ask       by the peer that was asked, and nobody else
//	won     these claims were won        not answered; told in batches
//	here    I am in reach                not answered; every second
//
// A message is good for peerFreshness by the receiver's clock. An ask that is sent again, by us or by
// an attacker who has recorded it, has the answer it had (PeerLink.recent); even without that memory
// it changes nothing, since the same owner asks for the same key. An answer is good for one ask that
// is waiting, since the id, 16 random octets, must be its own.
const (
	peerInfo      = "sallyport/v1 claims between appliances"
	peerFreshness = 150 * time.Second // clocks may be 60 s off, either way, and a network slow
	maxDatagram   = 1400              // fits one Ethernet frame
	wonPerMessage = 8                 // claims in one "won", so that it fits
	maxYielded    = 8                 // in one "ask", likewise
)

var (
	errPeerSeal  = errors.New("not sealed by an appliance of this enterprise")
	errPeerForm  = errors.New("sealed, but not a message of ours")
	errPeerStale = errors.New("too old or from the future: a replay, or a clock that is wrong")
)

type peerMessage struct {
	Kind   string                `json:"kind"`
	ID     id                    `json:"id"`
	Sent   int64                 `json:"sent"` // Unix milliseconds
	From   sallyport.ApplianceID `json:"from"`
	To     sallyport.ApplianceID `json:"to"`
	Ask    *wireAsk              `json:"ask,omitempty"`
	Answer *wireAnswer           `json:"answer,omitempty"`
	Won    []wireWon             `json:"won,omitempty"`
}

type wireAsk struct {
	Key     id            `json:"key"`
	Owner   id            `json:"owner"`
	TTL     int64         `json:"ttl"` // milliseconds
	Yielded []wireYielded `json:"yielded,omitempty"`
}

type wireYielded struct {
	Owner     id                    `json:"owner"`
	Appliance sallyport.ApplianceID `json:"appliance"`
}

type wireAnswer struct {
	Given  bool `json:"given"`
	Final  bool `json:"final"`
	Holder id   `json:"holder"`
	Lost   id   `json:"lost"`
}

type wireWon struct {
	Key   id    `json:"k"`
	Owner id    `json:"o"`
	Left  int64 `json:"t"` // milliseconds; clocks need not agree
}

const (
	kindAsk    = "ask"
	kindAnswer = "answer"
	kindWon    = "won"
	kindHere   = "here"
)

// MarshalText writes an id as 22 characters.
func (i id) MarshalText() ([]byte, error) { return idEncoding.AppendEncode(nil, i[:]), nil }

// UnmarshalText reads one.
func (i *id) UnmarshalText(text []byte) error {
	if len(text) != idEncoding.EncodedLen(len(i)) {
		return errPeerForm
	}
	_, err := idEncoding.Decode(i[:], text)
	return err
}

func (m peerMessage) seal(key sallyport.Key) ([]byte, error) {
	plain, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write message to peer: %w", err)
	}
	if len(plain)+sealed.Overhead > maxDatagram {
		return nil, fmt.Errorf("write message to peer: %d octets are too many", len(plain))
	}
	return sealed.Seal(key, plain, []byte(peerInfo)), nil
}

// openPeerMessage returns a message only when it is genuine, complete and fresh.
func openPeerMessage(key sallyport.Key, datagram []byte, now time.Time) (peerMessage, error) {
	var m peerMessage
	plain, err := sealed.Open(key, datagram, []byte(peerInfo))
	if err != nil {
		return m, errPeerSeal
	}
	if json.Unmarshal(plain, &m) != nil || !m.complete() {
		return m, errPeerForm
	}
	if age := now.Sub(time.UnixMilli(m.Sent)); age > peerFreshness || age < -peerFreshness {
		return m, errPeerStale
	}
	return m, nil
}

func (m *peerMessage) complete() bool {
	if !sallyport.ValidID(string(m.From)) || !sallyport.ValidID(string(m.To)) {
		return false
	}
	switch m.Kind {
	case kindAsk:
		return m.Ask != nil && m.Ask.Owner != nobody && m.Ask.TTL > 0 && m.Ask.TTL <= MaxTTL.Milliseconds() && len(m.Ask.Yielded) <= maxYielded
	case kindAnswer:
		return m.Answer != nil
	case kindWon:
		return len(m.Won) <= 2*wonPerMessage
	}
	return true // of a newer release; the link ignores it
}

func (a Ask) wire() *wireAsk {
	w := &wireAsk{Key: a.Key, Owner: a.Owner, TTL: a.TTL.Milliseconds()}
	for _, y := range a.Yielded[:min(len(a.Yielded), maxYielded)] {
		w.Yielded = append(w.Yielded, wireYielded{Owner: y.Owner, Appliance: y.Appliance})
	}
	return w
}

func (w *wireAsk) ask() Ask {
	a := Ask{Key: w.Key, Owner: w.Owner, TTL: time.Duration(w.TTL) * time.Millisecond}
	for _, y := range w.Yielded {
		a.Yielded = append(a.Yielded, Yielded{Owner: y.Owner, Appliance: y.Appliance})
	}
	return a
}

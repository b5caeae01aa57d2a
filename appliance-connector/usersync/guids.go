package usersync

import (
	"bytes"
	"encoding/hex"
	"slices"
)

// guid is an objectGUID; users and members are remembered by it alone, so that very many fit.
type guid [16]byte

func parseGUID(s string) (g guid, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(g) {
		return g, false
	}
	return guid(b), true
}

func (g guid) String() string { return hex.EncodeToString(g[:]) }

// guids is a set, sorted once it is complete.
type guids []guid

func (s *guids) add(text string) {
	if g, ok := parseGUID(text); ok {
		*s = append(*s, g)
	}
}

func (s *guids) complete() {
	slices.SortFunc(*s, compare)
	*s = slices.Compact(*s)
}

func (s guids) has(g guid) bool {
	_, found := slices.BinarySearchFunc(s, g, compare)
	return found
}

func (s guids) strings() []string {
	list := make([]string, len(s))
	for i, g := range s {
		list[i] = g.String()
	}
	return list
}

func compare(a, b guid) int { return bytes.Compare(a[:], b[:]) }

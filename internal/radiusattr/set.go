package radiusattr

import (
	"fmt"

	"github.com/sallyport/sallyport"
)

// Attribute is one value that a user has in Access-Accept, for people.
type Attribute struct {
	Group     string                  `json:"group,omitempty"` // that it comes from; empty: everybody has it
	Vendor    uint32                  `json:"vendor,omitempty"`
	Attribute uint8                   `json:"attribute"`
	Name      string                  `json:"name"`
	Type      sallyport.AttributeType `json:"type"`
	Value     string                  `json:"value"`
}

// Set is an integration's attributes, ready to be sent. Nil is the empty one.
type Set struct {
	items   []item
	grouped bool   // some depend on groups
	all     []byte // when none do: what everybody has
}

type item struct {
	group  string // folded; "" for everybody
	single bool
	at     number
	octets string
	shown  Attribute
}

// Compile makes a Set; it checks all that Check says.
func Compile(list []sallyport.GroupAttribute) (*Set, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > maxAttributes {
		return nil, invalid(fmt.Sprintf("An integration may have at most %d RADIUS attributes.", maxAttributes))
	}
	s, size := &Set{}, 0
	for _, a := range list {
		if err := checkOne(a); err != nil {
			return nil, invalid(fmt.Sprintf("The RADIUS attribute %s cannot be set: %v.", nameOf(a), err))
		}
		def, _ := Standard().Find(a.Vendor, a.Attribute)
		for _, text := range a.Values {
			octets, err := encode(nil, a, text)
			if err != nil {
				return nil, invalid(fmt.Sprintf("The value of the RADIUS attribute %s cannot be sent: %v.", nameOf(a), err))
			}
			size += len(octets)
			s.items = append(s.items, item{
				group: foldDN(a.Group), single: def.Single, at: number{a.Vendor, a.Attribute}, octets: string(octets),
				shown: Attribute{a.Group, a.Vendor, a.Attribute, nameOf(a), a.Type, text},
			})
		}
		s.grouped = s.grouped || a.Group != ""
	}
	if size > MaxOctets {
		return nil, invalid(fmt.Sprintf("The RADIUS attributes of all groups together take %d octets; %d fit into an answer.", size, MaxOctets))
	}
	if !s.grouped {
		s.all = s.For(nil)
	}
	return s, nil
}

func invalid(words string) error { return sallyport.Errorf(sallyport.CodeInvalid, words, nil) }

// AsksGroups reports whether the attributes depend on the user's groups.
func (s *Set) AsksGroups() bool { return s != nil && s.grouped }

// Everybody returns the attributes as they are sent when they do not depend on groups.
func (s *Set) Everybody() []byte {
	if s == nil {
		return nil
	}
	return s.all
}

// For returns the attributes, as they are sent, of somebody who is in the groups (DNs): the union in the
// integration's order, each value once. Of an attribute that may stand there once, the first value counts.
func (s *Set) For(groups []string) []byte {
	var out []byte
	for _, it := range s.pick(groups) {
		out = append(out, it.octets...)
	}
	return out
}

func (s *Set) pick(groups []string) (out []item) {
	if s == nil {
		return nil
	}
	in := make(map[string]bool, len(groups))
	for _, g := range groups {
		in[foldDN(g)] = true
	}
	sent, once := map[string]bool{}, map[number]bool{}
	for _, it := range s.items {
		if it.group != "" && !in[it.group] || sent[it.octets] || it.single && once[it.at] {
			continue
		}
		sent[it.octets], once[it.at] = true, true
		out = append(out, it)
	}
	return out
}

// Preview returns what somebody in the groups (DNs) has at a gateway, in the order in which it is sent.
func Preview(in sallyport.Integration, groups []string) ([]Attribute, error) {
	s, err := Compile(in.Attributes)
	if err != nil {
		return nil, err
	}
	out := []Attribute{}
	for _, it := range s.pick(groups) {
		out = append(out, it.shown)
	}
	return out, nil
}

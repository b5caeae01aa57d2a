// Package radiusattr knows the RADIUS attributes that a gateway may be sent in Access-Accept: their
// names, numbers and types, how a value is written by people and sent, which attributes must not be set,
// and which a user has who is in certain groups. It is for the RADIUS server, the store and
// administration, so that what one of them takes the others take. It asks nobody and keeps nothing.
package radiusattr

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport"
)

//go:embed dictionary.txt
var dictionaryText string

// Bounds of a dictionary.
const (
	maxDictionaryLine = 512  // octets
	maxDefinitions    = 4096 // attributes and values
	maxWord           = 64   // octets of a name
)

// Definition is an attribute as a dictionary has it.
type Definition struct {
	Vendor     uint32 // 0: a standard attribute
	VendorName string
	Attribute  uint8
	Name       string
	Type       sallyport.AttributeType
	// Single: it may stand in an answer once.
	Single bool
	// Tagged: a tag of RFC 2868 may stand before the value; we send none.
	Tagged bool
	// Encrypted: the value is a password or a key.
	Encrypted bool
	// Values are names of numbers, in their order.
	Values []NamedValue
}

// NamedValue is a number of an integer attribute that has a name.
type NamedValue struct {
	Name  string
	Value uint32
}

// Dictionary holds definitions. It does not change once parsed.
type Dictionary struct {
	byNumber map[number]*Definition
	byName   map[string]*Definition // in lower case
	vendors  map[string]uint32
}

type number struct {
	vendor    uint32
	attribute uint8
}

// Standard returns the dictionary in the program.
func Standard() *Dictionary { return standard() }

var standard = sync.OnceValue(func() *Dictionary {
	d, err := Parse(strings.NewReader(dictionaryText))
	if err != nil {
		panic("radiusattr: dictionary in the program: " + err.Error()) // a test reads it first
	}
	return d
})

// Find returns the definition of an attribute by its numbers.
func (d *Dictionary) Find(vendor uint32, attribute uint8) (Definition, bool) {
	if def := d.byNumber[number{vendor, attribute}]; def != nil {
		return *def, true
	}
	return Definition{}, false
}

// ByName returns the definition of an attribute by its name, whatever the case.
func (d *Dictionary) ByName(name string) (Definition, bool) {
	if def := d.byName[strings.ToLower(name)]; def != nil {
		return *def, true
	}
	return Definition{}, false
}

// All returns the definitions by vendor and number.
func (d *Dictionary) All() []Definition {
	out := make([]Definition, 0, len(d.byNumber))
	for _, n := range slices.SortedFunc(maps.Keys(d.byNumber), compareNumbers) {
		out = append(out, *d.byNumber[n])
	}
	return out
}

func compareNumbers(a, b number) int {
	if a.vendor != b.vendor {
		if a.vendor < b.vendor {
			return -1
		}
		return 1
	}
	return int(a.attribute) - int(b.attribute)
}

// Parse reads a dictionary in FreeRADIUS's format, of which it knows VENDOR, BEGIN-VENDOR, END-VENDOR,
// ATTRIBUTE and VALUE. Whatever else it meets is an error that names the line, and so is a dictionary with more than
// 4,096 definitions.
func Parse(r io.Reader) (*Dictionary, error) {
	p := parser{d: &Dictionary{byNumber: map[number]*Definition{}, byName: map[string]*Definition{}, vendors: map[string]uint32{}}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxDictionaryLine), maxDictionaryLine)
	at := 0
	for lines.Scan() {
		at++
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := p.line(words); err != nil {
			return nil, fmt.Errorf("read RADIUS dictionary, line %d: %w", at, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read RADIUS dictionary after line %d: %w", at, err)
	}
	if p.open != "" {
		return nil, fmt.Errorf("read RADIUS dictionary: vendor %s is not ended", p.open)
	}
	return p.d, nil
}

type parser struct {
	d    *Dictionary
	open string // the vendor between BEGIN-VENDOR and END-VENDOR
	size int
}

func (p *parser) line(words []string) error {
	if p.size++; p.size > maxDefinitions {
		return fmt.Errorf("more than %d definitions", maxDefinitions)
	}
	for _, w := range words {
		if len(w) > maxWord {
			return errors.New("a word is too long")
		}
	}
	switch keyword := words[0]; {
	case keyword == "VENDOR" && len(words) == 3:
		return p.vendor(words[1], words[2])
	case keyword == "BEGIN-VENDOR" && len(words) == 2:
		if _, known := p.d.vendors[words[1]]; !known || p.open != "" {
			return errors.New("BEGIN-VENDOR of an unknown vendor, or inside another one")
		}
		p.open = words[1]
		return nil
	case keyword == "END-VENDOR" && len(words) == 2:
		if p.open == "" || p.open != words[1] {
			return errors.New("END-VENDOR of a vendor that was not begun")
		}
		p.open = ""
		return nil
	case keyword == "ATTRIBUTE" && (len(words) == 4 || len(words) == 5):
		return p.attribute(words[1:])
	case keyword == "VALUE" && len(words) == 4:
		return p.value(words[1], words[2], words[3])
	}
	return fmt.Errorf("%q is not understood", words[0])
}

func (p *parser) vendor(name, text string) error {
	n, err := strconv.ParseUint(text, 10, 24) // RFC 2865 section 5.26: the high octet is 0
	if err != nil || n == 0 {
		return errors.New("a vendor's number is 1 to 16777215")
	}
	if _, known := p.d.vendors[name]; known {
		return errors.New("the vendor stands there twice")
	}
	p.d.vendors[name] = uint32(n)
	return nil
}

func (p *parser) attribute(words []string) error {
	n, err := strconv.ParseUint(words[1], 10, 8)
	if err != nil || n == 0 {
		return errors.New("an attribute's number is 1 to 255")
	}
	def := &Definition{Vendor: p.d.vendors[p.open], VendorName: p.open, Attribute: uint8(n), Name: words[0]}
	switch words[2] {
	case "string", "text":
		def.Type = sallyport.AttributeText
	case "integer", "date":
		def.Type = sallyport.AttributeInteger
	case "ipaddr":
		def.Type = sallyport.AttributeIPv4
	case "ipv6addr":
		def.Type = sallyport.AttributeIPv6
	case "octets":
		def.Type = sallyport.AttributeOctets
	default:
		return fmt.Errorf("type %q is not known", words[2])
	}
	if len(words) == 4 {
		for flag := range strings.SplitSeq(words[3], ",") {
			switch flag {
			case "single":
				def.Single = true
			case "has_tag":
				def.Tagged = true
			case "encrypt=1", "encrypt=2":
				def.Encrypted = true
			default:
				return fmt.Errorf("flag %q is not known", flag)
			}
		}
	}
	at, name := number{def.Vendor, def.Attribute}, strings.ToLower(def.Name)
	if p.d.byNumber[at] != nil || p.d.byName[name] != nil {
		return errors.New("the attribute stands there twice")
	}
	p.d.byNumber[at], p.d.byName[name] = def, def
	return nil
}

func (p *parser) value(attribute, name, text string) error {
	def := p.d.byName[strings.ToLower(attribute)]
	if def == nil || def.Type != sallyport.AttributeInteger {
		return errors.New("VALUE of something that is not an integer attribute")
	}
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return errors.New("a VALUE is a number of 32 bits")
	}
	if _, err := strconv.ParseUint(name, 0, 64); err == nil {
		return errors.New("a VALUE's name must not be a number")
	}
	if slices.ContainsFunc(def.Values, func(v NamedValue) bool { return strings.EqualFold(v.Name, name) }) {
		return errors.New("the VALUE stands there twice")
	}
	def.Values = append(def.Values, NamedValue{name, uint32(n)})
	return nil
}

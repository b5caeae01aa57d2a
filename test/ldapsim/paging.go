package ldapsim

import (
	"strconv"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Limits as Active Directory has them (MS-ADTS section 3.1.1.3.4.6).
const (
	maxPageSize = 1000 // entries of one answer
	maxValRange = 1500 // values of one attribute
)

// page is the control of simple paged results (RFC 2696); the cookie is the number of entries looked at.
type page struct {
	size int64
	from int
}

// controls reads the controls of a request: the page asked for, and whether there is another one that
// must be understood.
func controls(p *ber.Packet) (asked *page, critical bool) {
	if len(p.Children) < 3 {
		return nil, false
	}
	for _, c := range p.Children[2].Children {
		if len(c.Children) == 0 {
			continue
		}
		if text(c.Children[0]) == ldap.ControlTypePaging {
			if asked = readPage(c.Children[len(c.Children)-1]); asked != nil {
				continue
			}
		}
		if len(c.Children) > 1 {
			if v, ok := c.Children[1].Value.(bool); ok && v {
				critical = true
			}
		}
	}
	return asked, critical
}

func readPage(value *ber.Packet) *page {
	v, err := ber.DecodePacketErr(value.Data.Bytes())
	if err != nil || len(v.Children) != 2 {
		return nil
	}
	size, ok := v.Children[0].Value.(int64)
	if !ok || size < 0 {
		return nil
	}
	p := &page{size: size}
	if cookie := text(v.Children[1]); cookie != "" {
		if p.from, err = strconv.Atoi(cookie); err != nil || p.from < 0 {
			return nil
		}
	}
	return p
}

// answer is the control that goes with a page of results: where the next one begins, -1 for nowhere.
func (p *page) answer(next int) *ber.Packet {
	cookie := ""
	if next >= 0 {
		cookie = strconv.Itoa(next)
	}
	value := ber.NewSequence("")
	value.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(0), ""))
	value.AppendChild(octets(cookie))
	control := ber.NewSequence("")
	control.AppendChild(octets(ldap.ControlTypePaging))
	control.AppendChild(octets(string(value.Bytes())))
	list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	list.AppendChild(control)
	return list
}

// first is the entry with which the page begins, and most is how many entries come at once.
func (p *page) first() int {
	if p == nil {
		return 0
	}
	return p.from
}

func (p *page) most() int {
	if p == nil {
		return maxPageSize
	}
	return int(min(p.size, maxPageSize))
}

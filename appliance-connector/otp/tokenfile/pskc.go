package tokenfile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport"
)

// The names of RFC 6030.
const (
	pskcSpace   = "urn:ietf:params:xml:ns:keyprov:pskc"
	pskcHOTP    = "urn:ietf:params:xml:ns:keyprov:pskc:hotp"
	pskcTOTP    = "urn:ietf:params:xml:ns:keyprov:pskc:totp"
	pskcPIN     = "urn:ietf:params:xml:ns:keyprov:pskc:pin" // of a token that asks for one; nothing that we check
	pskcVersion = "1."
)

// keyPackage is one KeyPackage (section 4.1).
type keyPackage struct {
	Maker  string   `xml:"DeviceInfo>Manufacturer"`
	Serial string   `xml:"DeviceInfo>SerialNo"`
	Keys   []xmlKey `xml:"Key"`
}

// xmlKey is one Key (section 4.2).
type xmlKey struct {
	ID        string `xml:"Id,attr"`
	Algorithm string `xml:"Algorithm,attr"`
	Suite     string `xml:"AlgorithmParameters>Suite"`
	Response  struct {
		Length   string `xml:"Length,attr"`
		Encoding string `xml:"Encoding,attr"`
		Check    string `xml:"CheckDigits,attr"`
	} `xml:"AlgorithmParameters>ResponseFormat"`
	Secret   xmlValue `xml:"Data>Secret"`
	Counter  xmlValue `xml:"Data>Counter"`
	Interval xmlValue `xml:"Data>TimeInterval"`
	Drift    xmlValue `xml:"Data>TimeDrift"`
}

// xmlValue is a value of a key, plain or encrypted.
type xmlValue struct {
	Plain     *string       `xml:"PlainValue"`
	Encrypted *xmlEncrypted `xml:"EncryptedValue"`
	MAC       string        `xml:"ValueMAC"`
}

// readPSKC reads a KeyContainer, a KeyPackage at a time.
func readPSKC(file []byte, u Unlock, l *list) error {
	if !shortTags(file) {
		return invalid("A part of the file is far longer than in PSKC. Fetch the file again.", nil)
	}
	raw := xml.NewDecoder(bytes.NewReader(file))
	in := &reader{Decoder: xml.NewTokenDecoder(&shallow{in: raw}), raw: raw}
	c := &container{unlock: u}
	for inside := false; ; {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return notXML(in, err)
		}
		start, is := token.(xml.StartElement)
		if !is {
			continue
		}
		switch {
		case !inside:
			if err := checkContainer(start); err != nil {
				return err
			}
			inside = true
		case start.Name.Local == "KeyPackage":
			line := in.line()
			var p keyPackage
			if err := in.DecodeElement(&p, &start); err != nil {
				return notXML(in, err)
			}
			if err := c.addPackage(p, line, l); err != nil {
				return err
			}
		default:
			if err := c.readHead(in, start); err != nil {
				return err
			}
		}
	}
}

func checkContainer(start xml.StartElement) error {
	if start.Name.Local != "KeyContainer" {
		return sallyport.Errorf(sallyport.CodeUnsupported, "The file is XML, but not PSKC (RFC 6030). Ask the maker of the tokens for PSKC or CSV.", nil)
	}
	version := ""
	for _, a := range start.Attr {
		if a.Name.Local == "Version" {
			version = a.Value
		}
	}
	if start.Name.Space != pskcSpace || !strings.HasPrefix(version, pskcVersion) {
		return sallyport.Errorf(sallyport.CodeUnsupported, "The file is PSKC of another version. Ask the maker of the tokens for one after RFC 6030.", nil)
	}
	return nil
}

// Bounds of a file's form. Deeper, or with longer parts, it would take far more memory than it is long.
const (
	maxDepth    = 64
	maxElements = 1000      // of a KeyPackage
	maxPart     = 256 << 10 // octets from one "<" to the next
)

// reader reads the tokens of a file, and knows at which line it is.
type reader struct {
	*xml.Decoder
	raw *xml.Decoder
}

func (r *reader) line() int {
	line, _ := r.raw.InputPos()
	return line
}

// shallow gives the tokens of a file as long as they are not nested too deep, and no KeyPackage has too many.
type shallow struct {
	in       *xml.Decoder
	depth    int
	elements int // of what is right below the root
}

var errDeep = errors.New("too many elements, or nested too deep")

// Token implements xml.TokenReader.
func (s *shallow) Token() (xml.Token, error) {
	t, err := s.in.RawToken()
	switch t.(type) {
	case xml.StartElement:
		s.depth++
		if s.elements++; s.depth <= 2 {
			s.elements = 0
		}
		if s.depth > maxDepth || s.elements > maxElements {
			return nil, errDeep
		}
	case xml.EndElement:
		s.depth--
	}
	return t, err
}

// shortTags reports whether no tag can have more than a few attributes: in none of them is a "<" before its end.
func shortTags(file []byte) bool {
	for len(file) > maxPart {
		next := bytes.IndexByte(file[1:maxPart+1], '<')
		if next < 0 {
			return false
		}
		file = file[next+1:]
	}
	return true
}

// notXML says where a file stops being XML. The decoder's words may quote the file, so they are left out.
func notXML(in *reader, err error) error {
	words := "Line " + strconv.Itoa(in.line()) + ": this is not right in XML. Fetch the file again: it may have been cut."
	var syntax *xml.SyntaxError
	if !errors.As(err, &syntax) {
		words = "Line " + strconv.Itoa(in.line()) + ": this cannot be read as PSKC. Save the file in UTF-8 if it is not."
	}
	return invalid(words, nil)
}

// addPackage takes the tokens of a KeyPackage. An error ends the reading of the file.
func (c *container) addPackage(p keyPackage, line int, l *list) error {
	for _, k := range p.Keys {
		if k.Algorithm == pskcPIN {
			continue
		}
		t, words, err := c.token(p, k)
		if err != nil {
			return err
		}
		if words != "" {
			l.wrong(line, t.Serial, words)
			continue
		}
		if err := l.add(t, line, true); err != nil {
			return tooMany()
		}
	}
	return nil
}

// token makes a token of a key, or says what is wrong with it; an error is about the whole file.
func (c *container) token(p keyPackage, k xmlKey) (t sallyport.OTPToken, words string, err error) {
	t = sallyport.OTPToken{Serial: strings.TrimSpace(p.Serial), Maker: clip(p.Maker, maxMaker), Digits: 6, State: sallyport.OTPTokenActive}
	if t.Serial == "" {
		t.Serial = strings.TrimSpace(k.ID)
	}
	switch k.Algorithm {
	case pskcHOTP:
		t.Kind = sallyport.HOTP
	case pskcTOTP:
		t.Kind = sallyport.TOTP
	default:
		return t, "This is neither an HOTP nor a TOTP token.", nil
	}
	var ok bool
	if t.Algorithm, ok = algorithm(k.Suite); !ok {
		return t, "The algorithm must be SHA-1, SHA-256 or SHA-512.", nil
	}
	if words := k.format(&t); words != "" {
		return t, words, nil
	}
	secret, plain, words, err := c.value(k.Secret)
	if err != nil || words != "" {
		return t, words, err
	}
	if plain {
		secret, err = base64.StdEncoding.DecodeString(squeeze(string(secret)))
	}
	if t.Seed = secret; err != nil || len(secret) == 0 {
		return t, "The secret is missing or not in base64.", nil
	}
	words, err = c.places(k, &t)
	return t, words, err
}

// format takes how codes look.
func (k xmlKey) format(t *sallyport.OTPToken) (words string) {
	if e := k.Response.Encoding; e != "" && e != "DECIMAL" {
		return "The token's codes are not digits."
	}
	if k.Response.Check == "true" || k.Response.Check == "1" {
		return "The token's codes have a check digit, which is not supported."
	}
	digits, ok := number(strings.TrimSpace(k.Response.Length), 6)
	if !ok {
		return "The length of the codes must be a whole number."
	}
	t.Digits = int(digits)
	return ""
}

// places takes where the token is: its counter, or its interval and drift.
func (c *container) places(k xmlKey, t *sallyport.OTPToken) (words string, err error) {
	if t.Kind == sallyport.HOTP {
		t.Next, words, err = c.number(k.Counter, 0)
		return words, err
	}
	interval, words, err := c.number(k.Interval, 30)
	if words != "" || err != nil {
		return words, err
	}
	t.Period = seconds(max(interval, 0))
	t.Drift, words, err = c.number(k.Drift, 0)
	if most := int64(sallyport.OTPPlaceMost); t.Drift > most || t.Drift < -most {
		words = "The clock's drift is out of bounds."
	}
	return words, err
}

// number reads a value that is a whole number; none is the usual one. Encrypted, it is big-endian (section 4.2).
func (c *container) number(v xmlValue, usual int64) (n int64, words string, err error) {
	if v.Plain == nil && v.Encrypted == nil {
		return usual, "", nil
	}
	const wrong = "Counter, interval and drift must be whole numbers."
	octets, plain, words, err := c.value(v)
	switch {
	case err != nil || words != "":
		return 0, words, err
	case plain:
		if n, err = strconv.ParseInt(strings.TrimSpace(string(octets)), 10, 64); err != nil {
			return 0, wrong, nil
		}
		return n, "", nil
	case len(octets) == 0 || len(octets) > 8:
		return 0, wrong, nil
	}
	full := append(make([]byte, 8-len(octets)), octets...)
	return int64(binary.BigEndian.Uint64(full)), "", nil
}

// squeeze takes the white space out of a base64 text.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

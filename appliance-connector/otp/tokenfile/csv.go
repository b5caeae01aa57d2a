package tokenfile

import (
	"bytes"
	"encoding/base32"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// column is what stands in a column of a CSV file.
type column int

const (
	colSerial column = iota
	colSecret
	colType
	colDigits
	colInterval
	colCounter
	colAlgorithm
	columns
)

// headings are what a first line may call the columns. Without such a line they stand in the order above.
func headings() map[string]column {
	return map[string]column{
		"serial": colSerial, "serialnumber": colSerial, "serialno": colSerial, "secret": colSecret, "seed": colSecret, "key": colSecret,
		"type": colType, "kind": colType, "digits": colDigits, "length": colDigits, "interval": colInterval, "period": colInterval,
		"timestep": colInterval, "counter": colCounter, "algorithm": colAlgorithm, "hash": colAlgorithm,
	}
}

// row is a line of a CSV file.
type row struct {
	line   int
	fields [columns]string
}

// readCSV reads lines of serial, secret, and, each of which may be left out, type (totp), digits (6), interval (30),
// counter (0) and algorithm (sha1), separated by commas, semicolons or tabs. Secrets are hexadecimal or base32,
// all of a file alike, or with "hex:" or "base32:" before them.
func readCSV(file []byte, l *list) error {
	rows, named, err := readRows(file, l)
	if err != nil {
		return err
	}
	decode, words := chooseEncoding(rows)
	if words != "" {
		return invalid(words, nil)
	}
	for _, r := range rows {
		t, words := r.token(decode)
		if words != "" {
			// Without headings somebody may have put the secret first: the line is enough.
			l.wrong(r.line, serialIf(named, t.Serial), words)
			continue
		}
		if err := l.add(t, r.line, named); err != nil {
			return tooMany()
		}
	}
	return nil
}

func serialIf(named bool, serial string) string {
	if named {
		return serial
	}
	return ""
}

// readRows splits a file. named: the first line says what the columns are.
func readRows(file []byte, l *list) (rows []row, named bool, err error) {
	if !plainLines(file, l) {
		return nil, false, l.err()
	}
	in := csv.NewReader(bytes.NewReader(file))
	in.Comma, in.Comment, in.FieldsPerRecord, in.ReuseRecord, in.TrimLeadingSpace = separator(file), '#', -1, true, true
	order := []column{colSerial, colSecret, colType, colDigits, colInterval, colCounter, colAlgorithm}
	for first := true; ; first = false {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, named, nil
		}
		if err != nil {
			line := 0
			var wrong *csv.ParseError
			if errors.As(err, &wrong) {
				line = wrong.Line
			}
			l.wrong(line, "", "A quotation mark is missing, or one too many.")
			return nil, false, l.err()
		}
		line, _ := in.FieldPos(0)
		if first {
			if heads, ok := readHeadings(record); ok {
				order, named = heads, true
				continue
			}
		}
		if len(rows) >= sallyport.OTPImportMost {
			return nil, false, tooMany()
		}
		if len(record) > len(order) || len(record) < 2 {
			l.wrong(line, "", "A line has serial number and secret, and may have type, digits, interval, counter and algorithm.")
			continue
		}
		r := row{line: line}
		for i, field := range record {
			if order[i] < columns {
				r.fields[order[i]] = strings.TrimSpace(field)
			}
		}
		rows = append(rows, r)
	}
}

// maxLine is how long a line may be, in octets.
const maxLine = 4 << 10

// plainLines reports whether every line is a record by itself, and not so long that it takes far more memory than the
// file has; and notes the first that is not.
func plainLines(file []byte, l *list) bool {
	n := 0
	for line := range bytes.Lines(file) {
		n++
		if len(line) > maxLine {
			l.wrong(n, "", "The line is far too long.")
			return false
		}
		if line[0] != '#' && bytes.Count(line, []byte{'"'})%2 != 0 {
			l.wrong(n, "", "A quotation mark is missing, or one too many.")
			return false
		}
	}
	return true
}

// separator is what separates the fields of the first line that says anything.
func separator(file []byte) rune {
	for line := range bytes.Lines(file) {
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		best, most := ',', 0
		for _, s := range ",;\t" {
			if n := bytes.Count(line, []byte(string(s))); n > most {
				best, most = s, n
			}
		}
		return best
	}
	return ','
}

// readHeadings reports whether a line says what the columns are: serial number and secret at least. Columns
// that it does not know are passed over.
func readHeadings(record []string) (order []column, ok bool) {
	known := headings()
	var seen [columns]bool
	for _, name := range record {
		c, is := known[strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(name))]
		if !is || seen[c] {
			c = columns
		} else {
			seen[c] = true
		}
		order = append(order, c)
	}
	return order, seen[colSerial] && seen[colSecret]
}

// token makes a token of a row, or says what is wrong.
func (r row) token(decode decoder) (t sallyport.OTPToken, words string) {
	t = sallyport.OTPToken{Serial: r.fields[colSerial], Kind: sallyport.TOTP, Digits: 6, State: sallyport.OTPTokenActive}
	switch strings.ToLower(r.fields[colType]) {
	case "", "totp", "time":
	case "hotp", "event":
		t.Kind = sallyport.HOTP
	default:
		return t, `The type must be "hotp" or "totp".`
	}
	var ok bool
	if t.Algorithm, ok = algorithm(r.fields[colAlgorithm]); !ok {
		return t, "The algorithm must be SHA-1, SHA-256 or SHA-512."
	}
	digits, ok1 := number(r.fields[colDigits], 6)
	interval, ok2 := number(r.fields[colInterval], 30)
	counter, ok3 := number(r.fields[colCounter], 0)
	if !ok1 || !ok2 || !ok3 {
		return t, "Digits, interval and counter must be whole numbers."
	}
	t.Digits = int(digits)
	if t.Kind == sallyport.TOTP {
		t.Period = seconds(interval)
	} else {
		t.Next = counter
	}
	if t.Seed, ok = decode(r.fields[colSecret]); !ok {
		return t, "The secret is neither hexadecimal nor base32, or not in the form of the file's other ones."
	}
	return t, ""
}

// number reads a whole number that is not negative; empty is the usual one.
func number(s string, usual int64) (int64, bool) {
	if s == "" {
		return usual, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}

// seconds is a length of time; what is too long for one becomes an hour, which no token has.
func seconds(n int64) time.Duration { return time.Duration(min(n, 3600)) * time.Second }

// algorithm reads the name of a hash function, however it is written; empty is SHA-1.
func algorithm(s string) (sallyport.OTPAlgorithm, bool) {
	switch strings.TrimPrefix(strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s)), "hmac") {
	case "", "sha1":
		return sallyport.SHA1, true
	case "sha256":
		return sallyport.SHA256, true
	case "sha512":
		return sallyport.SHA512, true
	}
	return "", false
}

// decoder reads a secret.
type decoder func(string) (sallyport.Key, bool)

const (
	saysHex    = "hex:"
	saysBase32 = "base32:"
)

// chooseEncoding finds out how the secrets of a file are written. Some can be read both ways, but hardly all
// of a file.
func chooseEncoding(rows []row) (decoder, string) {
	var asHex, asBase32, both int
	for _, r := range rows {
		secret := strings.ToLower(r.fields[colSecret])
		if strings.HasPrefix(secret, saysHex) || strings.HasPrefix(secret, saysBase32) {
			continue
		}
		hexKey, isHex := fromHex(secret)
		base32Key, isBase32 := fromBase32(secret)
		isHex, isBase32 = isHex && len(hexKey) >= sallyport.OTPSeedLeast, isBase32 && len(base32Key) >= sallyport.OTPSeedLeast // what is too short says nothing
		switch {
		case isHex && isBase32:
			both++
		case isHex:
			asHex++
		case isBase32:
			asBase32++
		}
	}
	usual := fromHex
	switch {
	case asHex == asBase32 && both+asHex > 0:
		return nil, `The secrets can be read as hexadecimal and as base32. Write "hex:" or "base32:" before each of them.`
	case asBase32 > asHex:
		usual = fromBase32
	}
	return func(s string) (sallyport.Key, bool) {
		if rest, says := cutFold(s, saysHex); says {
			return fromHex(rest)
		}
		if rest, says := cutFold(s, saysBase32); says {
			return fromBase32(rest)
		}
		return usual(s)
	}, ""
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// grouped undoes how secrets are grouped for reading.
func grouped(s string) string { return strings.NewReplacer(" ", "", "-", "", ":", "").Replace(s) }

func fromHex(s string) (sallyport.Key, bool) {
	key, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(grouped(s)), "0x"))
	return key, err == nil
}

func fromBase32(s string) (sallyport.Key, bool) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ToUpper(grouped(s)), "="))
	return key, err == nil
}

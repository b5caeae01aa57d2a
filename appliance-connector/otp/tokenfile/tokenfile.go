// Package tokenfile reads the files that OTP tokens are delivered in: PSKC (RFC 6030), plain, or encrypted
// under a pre-shared key or a passphrase, and CSV. It serves whoever imports tokens. A file is read whole or not
// at all; what is wrong is said token by token, by line and serial number, and never with what a secret was. A
// maker's signature in a PSKC file is not checked: whoever imports a file has to know where it comes from.
package tokenfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

const (
	// MaxFile is how long a file may be, in octets.
	MaxFile = 16 << 20
	// mostProblems is how many problems are told.
	mostProblems = 100
	maxMaker     = 64 // characters
)

// Unlock is what the secrets of a file are encrypted under; a plain file needs neither.
type Unlock struct {
	Key        sallyport.Key // pre-shared, 16, 24 or 32 octets
	Passphrase sallyport.Secret
}

// Problem is what is wrong with a token, or with a line, of a file.
type Problem struct {
	Line   int    // from 1
	Serial string // empty: not known, or not to be told from a secret
	Words  string // what is wrong, and what to do
}

func (p Problem) String() string {
	if p.Serial == "" {
		return fmt.Sprintf("Line %d: %s", p.Line, p.Words)
	}
	return fmt.Sprintf("Line %d, token %q: %s", p.Line, p.Serial, p.Words)
}

// Problems are all that is wrong with a file. It is in the chain of the error that Read returns.
type Problems struct {
	List []Problem // at most 100
	More int       // how many were left out
}

func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, problem := range p.List {
		lines[i] = problem.String()
	}
	return strings.Join(lines, " ")
}

// Read reads the tokens of a file in either form. None has an owner; the counters are those of the file. Errors
// are *sallyport.Error: invalid, often with Problems in its chain, denied when the key or the passphrase is missing
// or wrong, and unsupported.
func Read(r io.Reader, u Unlock) ([]sallyport.OTPToken, error) {
	file, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read file of OTP tokens: %w", err)
	}
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	switch {
	case len(file) > MaxFile:
		return nil, invalid(fmt.Sprintf("The file is longer than %d MiB. Split it.", MaxFile>>20), nil)
	case len(bytes.TrimSpace(file)) == 0:
		return nil, invalid("The file is empty.", nil)
	case !utf8.Valid(file) || bytes.IndexByte(file, 0) >= 0:
		return nil, invalid("The file is neither PSKC nor CSV in UTF-8. Of a spreadsheet, save it as CSV in UTF-8.", nil)
	}
	l := &list{lines: make(map[string]int)}
	if bytes.HasPrefix(bytes.TrimSpace(file), []byte("<")) {
		err = readPSKC(file, u, l)
	} else {
		err = readCSV(file, l)
	}
	if err == nil {
		err = l.err()
	}
	if err != nil {
		return nil, err
	}
	return l.tokens, nil
}

// list is what was read of a file so far.
type list struct {
	tokens   []sallyport.OTPToken
	lines    map[string]int // where a serial number stands, folded
	problems Problems
}

// errFull ends the reading of a file that has too many tokens.
var errFull = errors.New("too many tokens")

// add takes a token that was read at a line. named says that the serial number is one beyond doubt.
func (l *list) add(t sallyport.OTPToken, line int, named bool) error {
	if len(l.lines) >= sallyport.OTPImportMost {
		return errFull
	}
	serial := ""
	if named {
		serial = t.Serial
	}
	if words := t.Problem(); words != "" {
		l.wrong(line, serial, words)
		return nil
	}
	folded := strings.ToLower(t.Serial)
	if before, is := l.lines[folded]; is {
		l.wrong(line, serial, fmt.Sprintf("The same serial number stands at line %d. Leave one of them out.", before))
		return nil
	}
	l.lines[folded] = line
	l.tokens = append(l.tokens, t)
	return nil
}

func (l *list) wrong(line int, serial, words string) {
	if len(l.problems.List) >= mostProblems {
		l.problems.More++
		return
	}
	l.problems.List = append(l.problems.List, Problem{line, clip(serial, sallyport.OTPSerialMost), words})
}

func (l *list) err() error {
	switch n := len(l.problems.List) + l.problems.More; {
	case n == 1:
		return invalid("Nothing was imported. "+l.problems.List[0].String(), &l.problems)
	case n > 1:
		return invalid(fmt.Sprintf("Nothing was imported: there are %d mistakes in the file. %s", n, l.problems.List[0]), &l.problems)
	case len(l.tokens) == 0:
		return invalid("There is no OTP token in the file.", nil)
	}
	return nil
}

func invalid(words string, cause error) error {
	return sallyport.Errorf(sallyport.CodeInvalid, words, cause)
}

func tooMany() error {
	return invalid(fmt.Sprintf("The file has more than %d tokens. Split it.", sallyport.OTPImportMost), nil)
}

// clip cuts a text to so many characters, and to one line.
func clip(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	for i := range s {
		if most--; most < 0 {
			return s[:i]
		}
	}
	return s
}

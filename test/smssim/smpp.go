package smssim

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// smppStatus is how a message centre says what is wrong.
var smppStatus = map[What]uint32{BadNumber: 0x0b, Credential: 0x0e, Throttled: 0x58, Down: 0x08, Rejected: 0x0a, Broken: 0x45}

func (s *Sim) serveSMPP(l net.Listener) {
	s.closers = append(s.closers, l.Close)
	s.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			s.done.Go(func() { s.centre(conn) })
		}
	})
}

// centre speaks with one transmitter.
func (s *Sim) centre(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	ended := make(chan struct{})
	defer close(ended)
	s.done.Go(func() {
		select {
		case <-s.life.Done():
			_ = conn.Close()
		case <-ended:
		}
	})
	in, bound := bufio.NewReader(conn), false
	for {
		command, sequence, body, err := readUnit(in)
		if err != nil {
			return
		}
		answer := func(status uint32, body ...byte) { _, _ = conn.Write(unit(command|0x80000000, status, sequence, body)) }
		switch command {
		case 0x02: // bind_transmitter
			status := checkBind(body)
			bound = status == 0
			answer(status, []byte("smssim\x00")...)
		case 0x04: // submit_sm
			if !bound {
				answer(0x04)
				return
			}
			if !s.submitted(conn, in, body, answer) {
				return
			}
		case 0x06: // unbind
			answer(0)
			return
		case 0x15: // enquire_link
			answer(0)
		default:
			_, _ = conn.Write(unit(0x80000000, 0x03, sequence, nil))
		}
	}
}

// submitted takes a message or lets something go wrong; false ends the connection.
func (s *Sim) submitted(conn net.Conn, in *bufio.Reader, body []byte, answer func(uint32, ...byte)) bool {
	f := s.ask(SMPP)
	switch f.What {
	case "":
	case Silent:
		<-s.life.Done()
		return false
	case Gone:
		return false
	case Lying:
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nServer: something\r\n\r\n"))
		return false
	case Slow:
		if !s.wait(f.Delay) {
			return false
		}
	case Chatty:
		_, _ = conn.Write(unit(0x15, 0, 77, nil))
		if command, sequence, _, err := readUnit(in); err != nil || command != 0x80000015 || sequence != 77 {
			answer(smppStatus[Rejected])
			return false
		}
	default:
		answer(smppStatus[f.What])
		return true
	}
	m, err := parseSubmit(body)
	if err != nil {
		answer(smppStatus[Rejected])
		return true
	}
	if !e164.MatchString(m.To) {
		answer(smppStatus[BadNumber])
		return true
	}
	answer(0, []byte(fmt.Sprintf("%08x\x00", s.take(m)))...)
	return true
}

func checkBind(body []byte) uint32 {
	f := fields{rest: body}
	system, password := f.text(16), f.text(9)
	f.text(13)
	version := f.octet()
	f.octet()
	f.octet()
	f.text(41)
	switch {
	case f.err != nil || version != 0x34:
		return 0x0d
	case system != SystemID:
		return 0x0f
	case password != Password:
		return 0x0e
	}
	return 0
}

func parseSubmit(body []byte) (m Message, err error) {
	f := fields{rest: body}
	f.text(6)
	fromTON, fromNPI := f.octet(), f.octet()
	m.From = f.text(21)
	toTON, toNPI := f.octet(), f.octet()
	m.To = f.text(21)
	class := f.octet()
	f.octet()
	f.octet()
	f.text(17)
	validity := f.text(17)
	f.octet()
	f.octet()
	coding := f.octet()
	f.octet()
	text := f.octets(int(f.octet()))
	m.Side, m.Raw = SMPP, string(body)
	if f.err != nil {
		return m, f.err
	}
	if len(f.rest) != 0 || class != 0 || toTON != 1 || toNPI != 1 {
		return m, errors.New("not as expected")
	}
	m.To = "+" + m.To
	switch alphanumeric := strings.Trim(m.From, "0123456789") != ""; {
	case alphanumeric != (fromTON == 5):
		return m, errors.New("the sender is no address of its type")
	case fromTON == 1 && fromNPI == 1:
		m.From = "+" + m.From
	}
	if m.Life, err = relative(validity); err != nil {
		return m, err
	}
	m.Text, err = textOf(coding, text)
	return m, err
}

// textOf reads a message in the default alphabet, as far as it is that of ASCII and a few letters, or in UCS-2.
func textOf(coding byte, b []byte) (string, error) {
	switch coding {
	case 0:
		if len(b) > 160 {
			return "", errors.New("too long")
		}
		return strings.NewReplacer("\x04", "è", "\x05", "é", "\x1e", "ß", "\x7b", "ä", "\x7c", "ö", "\x7e", "ü", "\x7f", "à", "\x7d", "ñ").Replace(string(b)), nil
	case 8:
		if len(b)%2 != 0 || len(b) > 140 {
			return "", errors.New("not UCS-2")
		}
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(b[2*i:])
		}
		return string(utf16.Decode(units)), nil
	}
	return "", errors.New("a coding that is not known")
}

// relative reads YYMMDDhhmmsstnnR as far as hours.
func relative(s string) (time.Duration, error) {
	if len(s) != 16 || !strings.HasPrefix(s, "000000") || !strings.HasSuffix(s, "000R") {
		return 0, errors.New("no relative time")
	}
	var total time.Duration
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		n, err := strconv.Atoi(s[6+2*i : 8+2*i])
		if err != nil {
			return 0, err
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}

// fields reads the parameters of a unit.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) octets(n int) []byte {
	if f.err != nil || n > len(f.rest) {
		f.err = errors.New("cut short")
		return make([]byte, n)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) octet() byte { return f.octets(1)[0] }

// text reads a C-octet string of at most most octets, its NUL included.
func (f *fields) text(most int) string {
	n := bytes.IndexByte(f.rest, 0)
	if n < 0 || n >= most {
		f.err = errors.New("a text without an end, or too long")
		return ""
	}
	return string(f.octets(n + 1)[:n])
}

func readUnit(r io.Reader) (command, sequence uint32, body []byte, err error) {
	var header [16]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, 0, nil, err
	}
	size := binary.BigEndian.Uint32(header[:])
	if size < 16 || size > 1024 {
		return 0, 0, nil, errors.New("an impossible length")
	}
	body = make([]byte, size-16)
	_, err = io.ReadFull(r, body)
	return binary.BigEndian.Uint32(header[4:]), binary.BigEndian.Uint32(header[12:]), body, err
}

func unit(command, status, sequence uint32, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(16+len(body)))
	for _, v := range []uint32{command, status, sequence} {
		out = binary.BigEndian.AppendUint32(out, v)
	}
	return append(out, body...)
}

package smpp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What a transmitter meets (SMPP 3.4, section 5.1.2.1).
const (
	bindTransmitter = 0x00000002
	submitSM        = 0x00000004
	unbind          = 0x00000006
	enquireLink     = 0x00000015
	genericNack     = 0x80000000
	response        = 0x80000000 // set in the answer to a command
)

const (
	headerSize = 16
	// maxPDU is far more than any answer to a transmitter has.
	maxPDU = 4096
	// version is that of SMPP 3.4.
	version = 0x34
)

// pdu is one protocol data unit.
type pdu struct {
	command  uint32
	status   uint32
	sequence uint32
	body     []byte
}

func (p pdu) encode() []byte {
	out := make([]byte, headerSize, headerSize+len(p.body))
	binary.BigEndian.PutUint32(out[0:], uint32(headerSize+len(p.body)))
	binary.BigEndian.PutUint32(out[4:], p.command)
	binary.BigEndian.PutUint32(out[8:], p.status)
	binary.BigEndian.PutUint32(out[12:], p.sequence)
	return append(out, p.body...)
}

// readPDU reads one. What is shorter than a header or longer than maxPDU is an error, and ends the connection.
func readPDU(r io.Reader) (p pdu, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return p, fmt.Errorf("read SMPP header: %w", err)
	}
	size := binary.BigEndian.Uint32(header[0:])
	if size < headerSize || size > maxPDU {
		return p, errors.New("not SMPP: a unit has an impossible length")
	}
	p.command = binary.BigEndian.Uint32(header[4:])
	p.status = binary.BigEndian.Uint32(header[8:])
	p.sequence = binary.BigEndian.Uint32(header[12:])
	p.body = make([]byte, size-headerSize)
	if _, err := io.ReadFull(r, p.body); err != nil {
		return p, fmt.Errorf("read SMPP unit: %w", err)
	}
	return p, nil
}

// body writes the parameters of a unit in their order.
type body struct{ bytes.Buffer }

func (b *body) octets(v ...byte) { b.Write(v) }

// text writes a C-octet string; what is longer than most, its NUL included, or has a NUL, is left out, as nothing
// may be cut short unseen: those who configure a gateway are told so before.
func (b *body) text(s string, most int) {
	if len(s) < most && !bytes.ContainsRune([]byte(s), 0) {
		b.WriteString(s)
	}
	b.WriteByte(0)
}

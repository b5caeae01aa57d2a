package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport"
)

// metaChains is the row of meta that lists all chains, with a MAC: a chain that was deleted whole is
// missed by it.
const metaChains = "audit chains"

// chainEnd is a place in a chain: the number and the MAC of a record.
type chainEnd struct {
	sequence int64
	mac      []byte
	// sound: it is where the store itself left it. An end that was changed from outside keeps a MAC
	// that does not hold, whatever is appended.
	sound bool
}

// lockHead raises the head of this store's chain by n and returns where it stood. The first time, it
// enters the chain in the list.
func (s *Store) lockHead(ctx context.Context, tx *sql.Tx, n int) (head chainEnd, err error) {
	result, err := s.engine.execIn(ctx, tx, `INSERT INTO audit_heads (chain, sequence, mac, head_mac) VALUES ($1, 0, $2, $2) ON CONFLICT (chain) DO NOTHING`,
		s.chain, []byte{})
	if err != nil {
		return head, err
	}
	made, err := result.RowsAffected()
	if err != nil {
		return head, err
	}
	var check []byte
	if err := s.engine.rowIn(ctx, tx, `UPDATE audit_heads SET sequence = sequence + $1 WHERE chain = $2 RETURNING sequence, mac, head_mac`,
		n, s.chain).Scan(&head.sequence, &head.mac, &check); err != nil {
		return head, err
	}
	head.sequence -= int64(n)
	if made == 1 {
		head.sound, err = s.enterChain(ctx, tx)
	} else {
		head.sound = hmac.Equal(check, s.headMAC(s.chain, head.sequence, head.mac))
	}
	if err == nil && !head.sound {
		s.log.Error("audit trail was changed from outside; verify it", "chain", s.chain)
	}
	return head, err
}

// moveHead writes where the chain ends now.
func (s *Store) moveHead(ctx context.Context, tx *sql.Tx, head chainEnd) error {
	check := []byte{}
	if head.sound {
		check = s.headMAC(s.chain, head.sequence, head.mac)
	}
	_, err := s.engine.execIn(ctx, tx, `UPDATE audit_heads SET mac = $1, head_mac = $2 WHERE chain = $3`, head.mac, check, s.chain)
	return err
}

// beginTrail makes the list of chains, with the key of the trail.
func (s *Store) beginTrail(ctx context.Context, tx *sql.Tx) error {
	_, _, err := keep(ctx, tx, metaChains, s.writeChains(nil))
	return err
}

// enterChain adds this store's chain to the list. A chain that is there already had a head before: the
// new one is not sound, and neither is one that cannot be entered.
func (s *Store) enterChain(ctx context.Context, tx *sql.Tx) (sound bool, err error) {
	var list []byte
	// The update locks the row on both engines.
	err = tx.QueryRowContext(ctx, `UPDATE meta SET value = value WHERE name = $1 RETURNING value`, metaChains).Scan(&list)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock list of chains: %w", err)
	}
	chains, ok := s.readChains(list)
	if !ok || slices.Contains(chains, s.chain) {
		return false, nil
	}
	_, err = tx.ExecContext(ctx, `UPDATE meta SET value = $2 WHERE name = $1`, metaChains, s.writeChains(append(chains, s.chain)))
	return true, err
}

// writeChains is the list's MAC and the list as JSON.
func (s *Store) writeChains(chains []string) []byte {
	text, err := json.Marshal(chains)
	if err != nil {
		panic("store: " + err.Error()) // a list of strings always encodes
	}
	return append(s.auditMAC("chains", string(text)), text...)
}

func (s *Store) readChains(list []byte) (chains []string, ok bool) {
	if len(list) < sha256.Size || !hmac.Equal(list[:sha256.Size], s.auditMAC("chains", string(list[sha256.Size:]))) {
		return nil, false
	}
	return chains, json.Unmarshal(list[sha256.Size:], &chains) == nil
}

// recordMAC covers everything of a record and the MAC of the one before it.
func (s *Store) recordMAC(r sallyport.AuditRecord, before []byte) []byte {
	return s.auditMAC("record", r.Chain, strconv.FormatInt(r.Sequence, 10), strconv.FormatInt(micros(r.Time), 10),
		string(r.Actor.Kind), r.Actor.ID, r.Actor.Name, string(r.Actor.Role), r.Actor.Address,
		r.Action, r.Object, r.ObjectID, string(r.Before), string(r.After), r.Reason, r.SupportCode, string(before))
}

func (s *Store) headMAC(chain string, sequence int64, mac []byte) []byte {
	return s.auditMAC("head", chain, strconv.FormatInt(sequence, 10), string(mac))
}

func (s *Store) anchorMAC(chain string, sequence int64, mac []byte) []byte {
	return s.auditMAC("anchor", chain, strconv.FormatInt(sequence, 10), string(mac))
}

func (s *Store) auditMAC(fields ...string) []byte { return fieldsMAC(s.keptKey(keyAudit), fields...) }

// fieldsMAC is HMAC-SHA256 over the fields, each after its length in eight octets.
func fieldsMAC(key sallyport.Key, fields ...string) []byte {
	size := 0
	for _, f := range fields {
		size += 8 + len(f)
	}
	all := make([]byte, 0, size)
	for _, f := range fields {
		all = binary.BigEndian.AppendUint64(all, uint64(len(f)))
		all = append(all, f...)
	}
	m := hmac.New(sha256.New, key)
	m.Write(all)
	return m.Sum(nil)
}

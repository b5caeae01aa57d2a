// Package report makes the reports: CSV that spreadsheets read as it is meant, and messages with it that are sent
// on a schedule. It reads the store, and decides nothing about who may see a report.
package report

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Writer writes a CSV file (RFC 4180) that spreadsheets read as it is meant.
type Writer struct {
	csv  *csv.Writer
	Rows int
}

// NewWriter begins a file with its head. The first octets are held back for a while, so that what fails at once
// leaves nothing behind.
func NewWriter(w io.Writer, head []string) (*Writer, error) {
	b := bufio.NewWriter(w)
	if _, err := b.WriteString("\ufeff"); err != nil { // so that spreadsheets read UTF-8
		return nil, err
	}
	out := &Writer{csv: csv.NewWriter(b)} // which goes on in the same buffer
	out.csv.UseCRLF = true
	return out, out.csv.Write(head)
}

// Row writes one row.
func (w *Writer) Row(cells ...string) error {
	for i, c := range cells {
		cells[i] = SafeCell(c)
	}
	w.Rows++
	return w.csv.Write(cells)
}

// End writes what is left.
func (w *Writer) End() error {
	w.csv.Flush()
	return w.csv.Error()
}

// SafeCell keeps a spreadsheet from taking a text for a formula.
func SafeCell(s string) string {
	s = strings.ReplaceAll(s, "\x00", "\ufffd")
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}

// When is a time in a report; empty for never.
func When(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// LoginHead names the cells of LoginRow.
func LoginHead() []string {
	return []string{"time", "ended", "user name", "account", "integration", "door", "outcome", "second factor", "reason", "detail", "address", "appliance", "support code"}
}

// LoginRow is a login in a report.
func LoginRow(l sallyport.LoginRecord) []string {
	return []string{When(l.Time), When(l.Ended), l.UserName, string(l.Account), string(l.Integration), string(l.Door), string(l.Outcome),
		string(l.Method), string(l.Reason), l.Detail, l.Address, string(l.Appliance), l.SupportCode}
}

// RADIUSHead names the cells of RADIUSRow.
func RADIUSHead() []string {
	return []string{"time", "integration", "source", "user name", "account", "answer", "reason", "cure", "nas identifier", "calling station", "called station", "appliance"}
}

// RADIUSRow is a RADIUS request in a report.
func RADIUSRow(a store.RADIUSActivity) []string {
	return []string{When(a.Time), string(a.Integration), fmt.Sprint(a.Source), a.UserName, string(a.Account), string(a.Outcome), a.Reason, a.Cure,
		a.NASIdentifier, a.CallingStation, a.CalledStation, string(a.Appliance)}
}

// AuditHead names the cells of AuditRow.
func AuditHead() []string {
	return []string{"chain", "sequence", "time", "who", "kind", "role", "address", "action", "object", "object id", "before", "after", "reason", "support code"}
}

// AuditRow is an audit record in a report.
func AuditRow(a sallyport.AuditRecord) []string {
	return []string{a.Chain, fmt.Sprint(a.Sequence), When(a.Time), a.Actor.Name, string(a.Actor.Kind), string(a.Actor.Role), a.Actor.Address,
		a.Action, a.Object, a.ObjectID, string(a.Before), string(a.After), a.Reason, a.SupportCode}
}

// UserHead names the cells of UserRow.
func UserHead() []string {
	return []string{"name", "account", "log-in name", "e-mail", "user policy", "devices", "phone numbers", "last enrolled", "synchronised"}
}

// UserRow is a user with their devices, and with their phone numbers by the last two digits, in a report.
func UserRow(u sallyport.User, devices []sallyport.Device, phones []sallyport.Phone, policy string) []string {
	var last time.Time
	var names, numbers []string
	for _, d := range devices {
		names = append(names, d.Name)
		if d.Enrolled.After(last) {
			last = d.Enrolled
		}
	}
	for _, p := range phones {
		numbers = append(numbers, "ends in "+p.Number.Tail())
		if p.Enrolled.After(last) {
			last = p.Enrolled
		}
	}
	return []string{u.DisplayName, string(u.Account), u.UPN, u.Mail, policy, strings.Join(names, "; "), strings.Join(numbers, "; "), When(last), When(u.Synchronised)}
}

// Enrolment limits a query to active users who have enrolled, or to those who have not and whose user policy
// is live for remote access.
func Enrolment(q store.UserQuery, enrolled bool) store.UserQuery {
	q.Enrolled, q.RemoteAccess, q.State = &enrolled, !enrolled, sallyport.UserActive
	return q
}

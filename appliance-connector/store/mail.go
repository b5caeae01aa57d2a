package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/mail"
	"time"

	"github.com/sallyport/sallyport"
)

const (
	mailNoun    = "message"
	mailColumns = `id, created, recipients, subject, state, tries, next_try, ended, answer`
	// maxRecipients and maxMailSize bound one message, maxWaiting and maxWaitingSize all that wait.
	maxRecipients  = 50
	maxMailText    = 64 << 10
	maxAttachment  = 8 << 20
	maxWaiting     = 500
	maxWaitingSize = 64 << 20
	maxMailAnswer  = 1000
	// keepMails is how long it is known what became of a message.
	keepMails = 30 * 24 * time.Hour
)

// mailContent is what of a message is sealed.
type mailContent struct {
	Text       string                    `json:"text"`
	Attachment *sallyport.MailAttachment `json:"attachment,omitempty"`
}

// QueueMail keeps a message until it is sent: its ID, Created, Recipients (addresses such as
// "name@host.example"), Subject, Text and Attachment. Too many messages that wait are CodeLimited. It is no
// change that others hear of.
func (s *Store) QueueMail(ctx context.Context, m sallyport.Mail) error {
	if err := checkMessage(m); err != nil {
		return err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	err := s.engine.transact(ctx, func(tx *sql.Tx) error { return s.queueMail(ctx, tx, m) })
	return s.engine.failure("keep message", err)
}

func (s *Store) queueMail(ctx context.Context, tx *sql.Tx, m sallyport.Mail) error {
	if err := s.underKey(ctx, tx); err != nil {
		return err
	}
	recipients, err := json.Marshal(m.Recipients)
	if err != nil {
		return fmt.Errorf("encode recipients: %w", err)
	}
	content, err := json.Marshal(mailContent{m.Text, m.Attachment})
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	var waiting, size int64
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(size), 0) FROM mails WHERE state = 'waiting'`).Scan(&waiting, &size); err != nil {
		return fmt.Errorf("count messages that wait: %w", err)
	}
	if waiting >= maxWaiting || size+int64(len(content)) > maxWaitingSize {
		return sallyport.Errorf(sallyport.CodeLimited, "Too many messages wait to be sent. Look at the settings of the mail server.", nil)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO mails (`+mailColumns+`, size, sealed_content, lease_holder, lease_until, expires)
		VALUES ($1, $2, $3, $4, 'waiting', 0, $2, 0, '', $5, $6, '', 0, $7)`,
		m.ID, micros(m.Created), string(recipients), m.Subject, int64(len(content)), s.box.seal(mailPlace(m.ID, string(recipients)), content), int64(1)<<62)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// LeaseMail gives the holder the message that is due longest, for sending, until a time; ok is false when
// none is due. Who does not say in time what became of it leaves it to the next one.
func (s *Store) LeaseMail(ctx context.Context, holder string, now, until time.Time) (m sallyport.Mail, ok bool, err error) {
	if err := checkID("holder", holder); err != nil {
		return m, false, err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	err = s.engine.transact(ctx, func(tx *sql.Tx) error {
		ok = false
		rows, err := tx.QueryContext(ctx, `UPDATE mails SET tries = tries + 1, lease_holder = $1, lease_until = $3
			WHERE id = (SELECT id FROM mails WHERE state = 'waiting' AND next_try <= $2 AND lease_until <= $2 ORDER BY next_try, id LIMIT 1`+s.engine.skipLocked+`)
			AND state = 'waiting' AND lease_until <= $2 RETURNING `+mailColumns+`, sealed_content`, holder, micros(now), micros(until))
		if err != nil {
			return err
		}
		m, ok, err = one(collect(rows, s.scanWholeMail))
		return err
	})
	return m, ok, s.engine.failure("lease message", err)
}

// MailResult is what became of an attempt to send a message.
type MailResult struct {
	State  sallyport.MailState
	Answer string
	// NextTry counts while the message still waits.
	NextTry time.Time
}

// FinishMail says what became of a message that the holder has leased. What it said is forgotten once it no
// longer waits. CodeConflict when somebody else has it by now.
func (s *Store) FinishMail(ctx context.Context, id, holder string, r MailResult, now time.Time) error {
	if err := first(checkID(mailNoun, id), checkID("holder", holder)); err != nil {
		return err
	}
	ended, expires := int64(0), int64(1)<<62
	switch r.State {
	case sallyport.MailWaiting:
	case sallyport.MailSent, sallyport.MailFailed:
		ended, expires = micros(now), micros(now.Add(keepMails))
	default:
		return invalidf("A message waits, was sent, or has failed.")
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	n, err := s.engine.exec(ctx, `UPDATE mails SET state = $3, answer = $4, next_try = $5, ended = $6, expires = $7, lease_holder = '', lease_until = 0,
		sealed_content = CASE WHEN $8 = 1 THEN sealed_content ELSE NULL END WHERE id = $1 AND lease_holder = $2`,
		id, holder, string(r.State), clean(r.Answer, maxMailAnswer), neverZero(r.NextTry), ended, expires, bit(r.State == sallyport.MailWaiting))
	if err == nil && n == 0 {
		return conflictf("Another appliance has this message.")
	}
	return s.engine.failure("write what became of message", err)
}

// Mails returns the last messages, the newest first, without what they say; most is 1 to 1000.
func (s *Store) Mails(ctx context.Context, most int) ([]sallyport.Mail, error) {
	if most < 1 || most > maxPage {
		return nil, invalidf("Ask for 1 to %d messages.", maxPage)
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read, `SELECT `+mailColumns+` FROM mails ORDER BY created DESC, id DESC LIMIT $1`, most)
	if err != nil {
		return nil, s.engine.failure("read messages", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (sallyport.Mail, error) { m, _, err := scanMail(rows); return m, err })
	return list, s.engine.failure("read messages", err)
}

// scanMail reads the columns of a message, and more behind them; also the recipients as they are kept.
func scanMail(rows *sql.Rows, more ...any) (m sallyport.Mail, recipients string, err error) {
	var created, next, ended int64
	err = rows.Scan(append([]any{&m.ID, &created, &recipients, &m.Subject, &m.State, &m.Tries, &next, &ended, &m.Answer}, more...)...)
	if err == nil {
		err = json.Unmarshal([]byte(recipients), &m.Recipients)
	}
	m.Created, m.NextTry, m.Ended = fromMicros(created), orNever(next), orNever(ended)
	return m, recipients, err
}

func (s *Store) scanWholeMail(rows *sql.Rows) (sallyport.Mail, error) {
	var box []byte
	m, recipients, err := scanMail(rows, &box)
	if err != nil {
		return m, err
	}
	text, err := s.box.open(mailPlace(m.ID, recipients), box)
	if err != nil {
		return m, err
	}
	var content mailContent
	err = json.Unmarshal(text, &content)
	m.Text, m.Attachment = content.Text, content.Attachment
	return m, err
}

// mailPlace binds what a message says to those whom it is for.
func mailPlace(id, recipients string) place {
	return place{table: "mails", column: "sealed_content", row: id, binding: []string{recipients}}
}

func checkMessage(m sallyport.Mail) error {
	err := first(checkID(mailNoun, m.ID), checkText("subject", m.Subject, 200), checkSize("text", len(m.Text), 1, maxMailText), checkAddresses(m.Recipients))
	if a := m.Attachment; err == nil && a != nil {
		err = first(checkText("name of the attachment", a.Name, 100), checkText("type of the attachment", a.Type, 100), checkSize("attachment", len(a.Data), 0, maxAttachment))
	}
	if err == nil && m.Created.Before(time.Unix(0, 0)) {
		err = invalidf("The time of the message is none.")
	}
	return err
}

// checkAddresses takes e-mail addresses without names.
func checkAddresses(list []string) error {
	if len(list) < 1 || len(list) > maxRecipients {
		return invalidf("A message has 1 to %d recipients.", maxRecipients)
	}
	for _, a := range list {
		if err := checkText("e-mail address", a, 254); err != nil {
			return err
		}
		if parsed, err := mail.ParseAddress(a); err != nil || parsed.Address != a {
			return invalidf("%q is no e-mail address.", a)
		}
	}
	return nil
}

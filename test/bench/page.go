package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// conn is a page's connection.
type conn = net.Conn

// perAddress is how many connections one loopback address makes: it has 28,000 ports.
const perAddress = 20_000

// dialFrom makes the i-th connection to addr, from as many loopback addresses as it takes.
func dialFrom(addr string) func(i int) (conn, error) {
	return func(i int) (conn, error) {
		d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/perAddress))}}
		return d.Dial("tcp", addr)
	}
}

// page is one login at a small page.
type page struct {
	conn conn
	in   *bufio.Reader
	took time.Duration // from the credentials to the first view on the stream
}

// wait begins a login, sends credentials and opens the event stream, all on one connection, and
// returns when the first view is there.
func (p *pages) wait(i int) (*page, error) {
	c, err := p.dial(i)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	pg := &page{conn: c, in: bufio.NewReader(c)}
	if err := pg.open(p); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return pg, nil
}

func (pg *page) open(p *pages) error {
	if err := pg.conn.SetDeadline(time.Now().Add(startTime)); err != nil {
		return err
	}
	var begun struct{ LoginID string }
	if err := pg.post("", map[string]string{"accessToken": p.token}, &begun); err != nil {
		return err
	}
	var got struct {
		Session string
		View    seen
	}
	body := credentialsBody(p.token, waiter)
	start := time.Now()
	if err := pg.post("/"+begun.LoginID+"/credentials", body, &got); err != nil {
		return err
	}
	if got.View.Phase != "waiting" {
		return fmt.Errorf("a login does not wait: %q", got.View.Phase)
	}
	if err := pg.listen(begun.LoginID, got.Session); err != nil {
		return err
	}
	pg.took = time.Since(start)
	return pg.conn.SetDeadline(time.Time{})
}

// post sends one request on the page's connection.
func (pg *page) post(path string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, "http://cloud/v1/logins"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "https://gateway.example")
	if err := r.Write(pg.conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(pg.in, r)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s %w", path, resp.Status, answer, err)
	}
	return json.Unmarshal(answer, v)
}

// listen opens the event stream and reads its first view.
func (pg *page) listen(login, bearer string) error {
	_, err := fmt.Fprintf(pg.conn, "GET /v1/logins/%s/events HTTP/1.1\r\nHost: cloud\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", login, bearer)
	if err != nil {
		return err
	}
	status, err := pg.in.ReadString('\n')
	if err != nil || !strings.Contains(status, " 200 ") {
		return fmt.Errorf("open event stream: %q %w", status, err)
	}
	for {
		line, err := pg.in.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "data: ") {
			return nil
		}
	}
}

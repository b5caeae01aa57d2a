package radiusload

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

const testSecret = sallyport.Secret("radius load test secret")

func testRing(t *testing.T) gatewaytoken.Ring {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := Ring(file)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// ours runs our server until the test ends.
func ours(t *testing.T, ring gatewaytoken.Ring) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, address, testSecret, ring) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	probe := Process{Name: "ours", Address: address}
	if err := probe.await(context.Background(), Load{Secret: testSecret, Logins: Mint(ring, Integration, 1, 1, time.Now())}); err != nil {
		t.Fatal(err)
	}
	return address
}

func run(t *testing.T, l Load) Result {
	t.Helper()
	p, err := Prepare(l)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryTokenIsAcceptedOnceAndEveryAnswerChecked(t *testing.T) {
	ring := testRing(t)
	address := ours(t, ring)
	logins := Mint(ring, Integration, 2000, 50, time.Now())
	r := run(t, Load{Address: address, Secret: testSecret, Logins: logins})
	if r.Accepted != 2000 || r.Wrong+r.Rejected+r.Lost+r.WithoutMAC != 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("first time: %+v", r)
	}
	if r = run(t, Load{Address: address, Secret: testSecret, Logins: logins[:200]}); r.Rejected != 200 {
		t.Errorf("second time: %+v", r)
	}
}

func TestSetRateIsKept(t *testing.T) {
	ring := testRing(t)
	r := run(t, Load{Address: ours(t, ring), Secret: testSecret, Logins: Mint(ring, Integration, 500, 50, time.Now()), Rate: 1000})
	if r.Accepted != 500 || r.Seconds < 0.4 {
		t.Errorf("%+v", r)
	}
}

func TestAnswersUnderAnotherSecretAreFoundOut(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	go func() { // answers Access-Accept to everything, unsigned
		b := make([]byte, maxPacket)
		for {
			_, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(append([]byte{2, b[1], 0, 20}, b[4:20]...), from)
		}
	}()
	ring := testRing(t)
	r := run(t, Load{Address: c.LocalAddr().String(), Secret: testSecret, Logins: Mint(ring, Integration, 100, 10, time.Now())})
	if r.Wrong != 100 || r.Accepted != 0 {
		t.Errorf("%+v", r)
	}
}

func TestSilentServerLosesEverything(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ring := testRing(t)
	r := run(t, Load{Address: c.LocalAddr().String(), Secret: testSecret, Patience: 10 * time.Millisecond,
		Logins: Mint(ring, Integration, 8, 1, time.Now())})
	if r.Lost != 8 || r.Repeated != 16 {
		t.Errorf("%+v", r)
	}
}

func TestFreeRADIUSAcceptsItsUsers(t *testing.T) {
	users := Passwords(testRing(t), 20)
	p, err := StartFreeRADIUS(context.Background(), t.TempDir(), "", testSecret, users)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	r := run(t, Load{Address: p.Address, Secret: testSecret, Logins: repeat(users, 500)})
	if r.Accepted != 500 || r.Wrong != 0 {
		t.Errorf("%+v", r)
	}
	if used, err := CPU(p.PID()); err != nil || used <= 0 {
		t.Errorf("processor time %v, %v", used, err)
	}
}

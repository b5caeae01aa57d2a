package usersync_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/usersync"
)

// childEnv makes this program an appliance that synchronises the domain in the store that it is given, and is killed.
const childEnv = "SALLYPORT_USERSYNC_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child(os.Args[1]))
	}
	os.Exit(m.Run())
}

// endless is a directory that begins to answer and says no more.
type endless struct{ usersync.Directory }

func (endless) Read(ctx context.Context, _ sallyport.DomainID, _ func(usersync.Source) error) error {
	fmt.Println("reading")
	<-ctx.Done()
	return ctx.Err()
}

// away is a directory that does not answer.
type away struct{ usersync.Directory }

func (away) Read(context.Context, sallyport.DomainID, func(usersync.Source) error) error {
	return errors.New("connection refused")
}

func child(address string) int {
	ctx := context.Background()
	s, err := store.Open(ctx, address, make(sallyport.Key, 32))
	if err == nil {
		_, err = usersync.New(usersync.Options{Store: s, Directory: endless{}, Holder: "appliance-9", Now: time.Now, Log: slog.New(slog.DiscardHandler)}).
			Synchronise(ctx, domainID, sallyport.SynchroniseFull, admin)
	}
	fmt.Fprintln(os.Stderr, "the synchronisation ended by itself:", err)
	return 1
}

// An appliance that dies in a synchronisation leaves it running in the store. It is taken for what it is as soon as
// its lease ends, and does not keep the domain from being synchronised.
func TestASynchronisationWhoseApplianceDiedWasInterrupted(t *testing.T) {
	t.Parallel()
	address := "sqlite:" + filepath.Join(t.TempDir(), "appliance.db")
	db, err := store.Open(t.Context(), address, make(sallyport.Key, 32))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := db.As(admin).PutDomain(t.Context(), sallyport.Domain{ID: domainID, Name: "hospital.test", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://127.0.0.1:1"},
		BindName: "svc@hospital.test", BindPassword: "secret", Every: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	kill(t, address)
	died := time.Now()
	last := func(now time.Time) sallyport.Synchronisation {
		t.Helper()
		runs, err := db.Synchronisations(t.Context(), domainID, 1)
		if err != nil || len(runs) != 1 {
			t.Fatal(runs, err)
		}
		return usersync.Seen(runs, now)[0]
	}
	if y := last(died); y.State != sallyport.SynchronisationRunning {
		t.Errorf("at once it may be slow, not dead: %+v", y)
	}
	later := died.Add(sallyport.SynchronisationSilence)
	y := last(later)
	if y.State != sallyport.SynchronisationInterrupted || y.Ended.IsZero() || !strings.Contains(y.Message, "has stopped") {
		t.Errorf("%+v", y)
	}
	if at, due := usersync.Next(d, []sallyport.Synchronisation{y}); !due || at.After(later.Add(5*time.Minute)) {
		t.Errorf("the next one waits until %v", at)
	}
	other := usersync.New(usersync.Options{Store: db, Directory: away{}, Holder: "appliance-1", Now: func() time.Time { return later }, Log: slog.New(slog.DiscardHandler)})
	if begun, err := other.Synchronise(t.Context(), domainID, sallyport.SynchroniseFull, admin); err != nil || begun.State != sallyport.SynchronisationFailed {
		t.Errorf("another appliance cannot begin: %+v, %v", begun, err)
	}
	runs, err := db.Synchronisations(t.Context(), domainID, 2)
	if err != nil || len(runs) != 2 || runs[1].ID != y.ID || runs[1].State != sallyport.SynchronisationInterrupted {
		t.Errorf("kept: %+v, %v", runs, err)
	}
}

// kill has another process begin, and ends it as a power cut does.
func kill(t *testing.T, address string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], address)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "reading" {
		t.Errorf("the other process says %q", lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the other process ended well")
	}
}

package harness

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"
	"time"
)

//go:embed samba
var sambaFiles embed.FS

// provisionRevision changes when the Go code below does; the embedded files and
// Samba's version count by themselves.
const provisionRevision = "1"

// provisioned returns the folder of a domain controller that never ran, making it if
// this machine has none for this version yet. It is shared by every test process and
// never changed: tests work on copies.
func provisioned() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	key, err := provisionKey()
	if err != nil {
		return "", err
	}
	ready := filepath.Join(cache, "samba-"+key)
	unlock, err := lockFile(ready+".lock", syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(ready); err == nil {
		return ready, nil
	}
	// In /tmp while it is made: Samba puts Unix sockets into its folder, and their
	// paths are short.
	work, err := os.MkdirTemp("/tmp", "sp-provision-")
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := provision(work); err != nil {
		return "", fmt.Errorf("provision samba: %w", err)
	}
	return ready, publish(work, ready)
}

// publish copies a finished folder so that it appears whole or not at all.
func publish(work, ready string) error {
	partial := fmt.Sprintf("%s.partial", ready)
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("remove an older attempt: %w", err)
	}
	if err := copyTree(work, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, ready); err != nil {
		return fmt.Errorf("publish provisioned folder: %w", err)
	}
	return nil
}

func cacheDir() (string, error) {
	d := os.Getenv("SALLYPORT_TEST_CACHE")
	if d == "" {
		base, err := os.UserCacheDir()
		if err != nil { // HOME is not set, as on some build machines
			base = filepath.Join("/var/tmp", fmt.Sprintf("cache-%d", os.Getuid()))
		}
		d = filepath.Join(base, "sallyport-test")
	}
	if err := os.MkdirAll(d, 0o700); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	return d, nil
}

func provisionKey() (string, error) {
	path, err := tool("samba")
	if err != nil {
		return "", err
	}
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask samba for its version: %w", err)
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n%v\n", provisionRevision, version, accounts())
	entries, err := sambaFiles.ReadDir("samba")
	if err != nil {
		return "", fmt.Errorf("list embedded files: %w", err)
	}
	for _, e := range entries {
		b, err := sambaFiles.ReadFile("samba/" + e.Name())
		if err != nil {
			return "", fmt.Errorf("read embedded file: %w", err)
		}
		_, _ = fmt.Fprintf(h, "%s\n%s\n", e.Name(), b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// lockFile takes an flock; the kernel lets go of it when the process dies.
func lockFile(path string, how int) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

func copyTree(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w\n%s", from, err, out)
	}
	return nil
}

// provision makes a domain in d, with its users; nothing runs afterwards.
func provision(d string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("an Active Directory domain controller needs root")
	}
	for _, sub := range []string{"run", "ncalrpc", "cache", "ntp", "winbindd", "log", "tls"} {
		if err := os.MkdirAll(filepath.Join(d, sub), 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	if err := writeCertificates(filepath.Join(d, "tls")); err != nil {
		return err
	}
	empty := filepath.Join(d, "empty.conf")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		return fmt.Errorf("write empty configuration: %w", err)
	}
	if err := run("", "samba-tool", "domain", "provision", "--configfile="+empty, "--targetdir="+d,
		"--realm="+SambaRealm, "--domain="+SambaDomain, "--host-name=dc1", "--host-ip=127.0.0.1",
		"--server-role=dc", "--dns-backend=NONE", "--adminpass="+AdminPassword,
		"--option=interfaces=lo", "--option=bind interfaces only=yes", "--option=ldb:nosync=yes"); err != nil {
		return err
	}
	if err := writeConf(d); err != nil {
		return err
	}
	if err := modify(d, "samba/accounts.ldif.tmpl", accounts()); err != nil {
		return err
	}
	// Only with this control may pwdLastSet be anything but now or never.
	if err := modify(d, "samba/expired.ldif.tmpl", accounts(), "--controls=local_oid:1.3.6.1.4.1.7165.4.3.12:0"); err != nil {
		return err
	}
	return run("", "cc", "-shared", "-fPIC", "-o", filepath.Join(d, "portshift.so"),
		writeEmbedded(d, "samba/portshift.c"), "-ldl")
}

func writeConf(d string) error {
	b, err := render("samba/smb.conf.tmpl", struct{ Realm, Domain, Dir string }{SambaRealm, SambaDomain, d})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d, "smb.conf"), b, 0o600); err != nil {
		return fmt.Errorf("write smb.conf: %w", err)
	}
	return nil
}

// modify applies an LDIF template to the database of a domain that does not run.
func modify(d, tmpl string, data any, extra ...string) error {
	b, err := render(tmpl, data)
	if err != nil {
		return err
	}
	return modifyLDIF(d, string(b), extra...)
}

func modifyLDIF(d, ldif string, extra ...string) error {
	args := append([]string{"--configfile=" + d + "/smb.conf", "-H", d + "/private/sam.ldb"}, extra...)
	return run(ldif, "ldbmodify", args...)
}

func render(name string, data any) ([]byte, error) {
	t, err := template.ParseFS(sambaFiles, name)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("fill %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// writeEmbedded writes an embedded file into d and returns its path; when that fails,
// the program it is given to says so.
func writeEmbedded(d, name string) string {
	path := filepath.Join(d, filepath.Base(name))
	if b, err := sambaFiles.ReadFile(name); err == nil {
		_ = os.WriteFile(path, b, 0o600)
	}
	return path
}

// run runs a program to its end, with its output in the error.
func run(stdin, name string, args ...string) error {
	path, err := tool(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*startDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = bytes.NewBufferString(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, out)
	}
	return nil
}

// writeCertificates makes an authority and the controller's certificate, good for
// localhost and 127.0.0.1 for ten years.
func writeCertificates(d string) error {
	caKey, caTmpl, err := certificate("Hospital Test CA")
	if err != nil {
		return err
	}
	caTmpl.IsCA, caTmpl.BasicConstraintsValid = true, true
	caTmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	caDER, err := x509.CreateCertificate(rand.Reader, caTmpl, caTmpl, caKey.Public(), caKey)
	if err != nil {
		return fmt.Errorf("sign authority: %w", err)
	}
	key, tmpl, err := certificate("dc1.hospital.test")
	if err != nil {
		return err
	}
	tmpl.DNSNames = []string{"dc1.hospital.test", "localhost"}
	tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, caTmpl, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: caDER},
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(d, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func certificate(name string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, fmt.Errorf("draw serial number: %w", err)
	}
	return key, &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0)}, nil
}

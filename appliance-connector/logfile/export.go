package logfile

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/sallyport/sallyport"
)

// Export writes one file, as gzip.
func (f *Files) Export(ctx context.Context, name string, w io.Writer) error {
	if !ownName.MatchString(name) {
		return noFile(nil)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return noFile(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	in := whileAsked{ctx, file}
	if strings.HasSuffix(name, ".gz") {
		_, err = io.Copy(w, in)
	} else {
		zip := gzip.NewWriter(w)
		zip.Name = name
		_, err = io.Copy(zip, in)
		err = errors.Join(err, zip.Close())
	}
	if err != nil {
		return fmt.Errorf("export log file: %w", err)
	}
	return nil
}

// ExportAll writes all files as they lie there, as a gzipped tar archive.
func (f *Files) ExportAll(ctx context.Context, w io.Writer) error {
	list, err := f.List()
	if err != nil {
		return err
	}
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zip)
	for _, file := range list {
		if err := f.pack(ctx, archive, file); err != nil {
			return fmt.Errorf("export log files: %w", err)
		}
	}
	return errors.Join(archive.Close(), zip.Close())
}

// pack adds one file, as long as it is now.
func (f *Files) pack(ctx context.Context, archive *tar.Writer, named sallyport.LogFile) error {
	file, err := f.root.Open(named.Name)
	if errors.Is(err, fs.ErrNotExist) { // compressed meanwhile
		file, err = f.root.Open(named.Name + ".gz")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: "sallyport-logs/" + nameOf(file), Size: info.Size(), Mode: 0o600, ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.CopyN(archive, whileAsked{ctx, file}, info.Size())
	return err
}

func nameOf(file *os.File) string {
	name := file.Name()
	return name[strings.LastIndexByte(name, '/')+1:]
}

// whileAsked reads until ctx ends.
type whileAsked struct {
	ctx context.Context
	io.Reader
}

func (r whileAsked) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

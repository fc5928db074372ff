// Command package zips a folder that the Functions host can run into a package to deploy.
// The same files always give the same bytes.
package main

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func main() {
	from := flag.String("from", ".artifacts/app", "the folder to pack: host.json, the functions' folders, the handler")
	to := flag.String("to", ".artifacts/tollgate.zip", "the package to write")
	flag.Parse()
	if err := run(*from, *to, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

// run packs a folder and prints the package's size.
func run(from, to string, stdout io.Writer) error {
	// Written to a temporary file and renamed, so that an incomplete package is never deployed.
	partial, err := os.CreateTemp(filepath.Dir(to), "package-*")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	err = pack(os.DirFS(from), partial)
	if err := errors.Join(err, partial.Close()); err != nil {
		return fmt.Errorf("pack %s: %w", from, err)
	}
	if err := errors.Join(os.Chmod(partial.Name(), 0o644), os.Rename(partial.Name(), to)); err != nil {
		return err
	}
	written, err := os.Stat(to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %.1f MB\n", to, float64(written.Size())/1e6)
	return err
}

// epoch is the oldest time that a zip can hold. All files get it.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// pack writes the files of a folder in the order of their names.
func pack(folder fs.FS, to io.Writer) error {
	if _, err := fs.Stat(folder, "host.json"); err != nil {
		return fmt.Errorf("not a folder that the Functions host can run: %w", err)
	}
	archive := zip.NewWriter(to)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(archive, folder, name, entry)
	})
	return errors.Join(err, archive.Close())
}

func add(archive *zip.Writer, folder fs.FS, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	switch {
	case err != nil:
		return err
	case name == "local.settings.json":
		return fmt.Errorf("%s holds this machine's secrets and must not be deployed", name)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", name)
	}
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
	header.SetMode(0o644)
	if info.Mode()&0o111 != 0 {
		header.SetMode(0o755) // whatever the machine's umask is
	}
	w, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	file, err := folder.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

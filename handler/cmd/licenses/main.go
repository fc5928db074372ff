// Command licenses writes the licences of everything that is linked into the handler,
// which must be distributed with it: those of the modules, of Go, and of the third-party
// files in this repository.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	of := flag.String("of", "./handler", "the package of the program, which is linked for linux-amd64")
	to := flag.String("to", ".artifacts/app/THIRD-PARTY-LICENSES.txt", "the file to write")
	flag.Parse()
	if err := run(*of, *to); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

// vendored holds the licence files of third-party works in this repository, by work.
var vendored = map[string]string{
	"uPlot, the console's charts":                   "handler/console/page/vendor/LICENSE.txt",
	"the vocabularies that tokens are counted with": "handler/tokens/vocabulary/NOTICE.md",
}

func run(of, to string) error {
	works, err := linked(of)
	if err != nil {
		return err
	}
	for name, path := range vendored {
		works = append(works, work{name, []string{path}})
	}
	slices.SortFunc(works, func(a, b work) int { return cmp.Compare(a.name, b.name) })
	var text bytes.Buffer
	if err := write(&text, works); err != nil {
		return err
	}
	return os.WriteFile(to, text.Bytes(), 0o644)
}

// A work is a third-party work with its licence files.
type work struct {
	name  string
	files []string
}

// listed is a package in go list's output.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked returns Go and the modules that a program is linked from, with their licences.
func linked(program string) ([]work, error) {
	command := exec.Command("go", "list", "-deps", "-json=Dir,Standard,Module", program)
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	found := make(map[string][]string)
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		name := p.Module.Path + " " + p.Module.Version
		files, err := licencesOf(p.Dir, p.Module.Dir)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if !slices.Contains(found[name], file) {
				found[name] = append(found[name], file)
			}
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	all := []work{{"Go", []string{filepath.Join(strings.TrimSpace(string(root)), "LICENSE")}}}
	for name, files := range found {
		slices.Sort(files)
		all = append(all, work{name, files})
	}
	return all, nil
}

// licence matches the names of files that hold a licence or must accompany it.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright|patents)([.-].*)?$`)

// licencesOf lists the licences in a package's folder and the folders above it, up to its
// module's. It fails if there is none.
func licencesOf(folder, module string) (files []string, err error) {
	for {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() && licence.MatchString(entry.Name()) && filepath.Ext(entry.Name()) != ".go" {
				files = append(files, filepath.Join(folder, entry.Name()))
			}
		}
		if folder == module || len(folder) <= len(module) {
			break
		}
		folder = filepath.Dir(folder)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no licence, so it must not be distributed", module)
	}
	return files, nil
}

const rule = "================================================================================\n"

func write(to *bytes.Buffer, works []work) error {
	to.WriteString("Tollgate's handler includes the works below, under these licences.\n")
	for _, w := range works {
		fmt.Fprintf(to, "\n%s%s\n%s", rule, w.name, rule)
		for _, file := range w.files {
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("the licence of %s: %w", w.name, err)
			}
			fmt.Fprintf(to, "\n%s\n", strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")))
		}
	}
	return nil
}

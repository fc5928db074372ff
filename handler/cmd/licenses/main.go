// Command licenses writes the licences of everything that is linked into the
// handler, as their authors ask of who passes their work on: of the modules, of
// Go itself, and of what this repository holds of others.
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
	of := flag.String("of", "./handler", "the package that is linked, for linux-amd64")
	to := flag.String("to", ".artifacts/app/THIRD-PARTY-LICENSES.txt", "the file to write")
	flag.Parse()
	if err := run(*of, *to); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

// ours are the files of this repository that hold licences of others, by what is
// under them.
var ours = map[string]string{
	"uPlot, the console's charts":                   "handler/console/page/vendor/LICENSE.txt",
	"the vocabularies that tokens are counted with": "handler/tokens/vocabulary/NOTICE.md",
}

func run(of, to string) error {
	works, err := linked(of)
	if err != nil {
		return err
	}
	for name, path := range ours {
		works = append(works, work{name, []string{path}})
	}
	slices.SortFunc(works, func(a, b work) int { return cmp.Compare(a.name, b.name) })
	var text bytes.Buffer
	if err := write(&text, works); err != nil {
		return err
	}
	return os.WriteFile(to, text.Bytes(), 0o644)
}

// work is something of others with the files that say under which licence it is.
type work struct {
	name  string
	files []string
}

// listed is what go list says of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked finds the modules whose packages a program is made of, each with its
// licences, and Go's.
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

// licence is how files are called that hold one, or that must go with it.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright|patents)([.-].*)?$`)

// licencesOf lists the licences in a package's folder and those above it, up to
// its module's. There must be one.
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
		return nil, fmt.Errorf("%s has no licence: it may not be passed on", module)
	}
	return files, nil
}

const rule = "================================================================================\n"

func write(to *bytes.Buffer, works []work) error {
	to.WriteString("Tollgate's handler is made of its own source and of the works below, which are\nunder these licences.\n")
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

package infra_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollgate/infra/biceptest"
)

// templates returns all Bicep files of infra/.
func templates(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.bicep", "modules/*.bicep", "*.bicepparam"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, files...)
	}
	return slices.DeleteFunc(found, func(name string) bool { return strings.HasPrefix(name, ".") }) // which other tests make meanwhile
}

func TestTheCompilerGivesNoWarnings(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"lint", "main.bicep"}, {"lint", "main.bicepparam"},
		{"build", "main.bicep", "--outfile", filepath.Join(t.TempDir(), "main.json")},
		{"build-params", "main.bicepparam", "--outfile", filepath.Join(t.TempDir(), "main.parameters.json")},
	} {
		if output, err := biceptest.Run(t, ".", args...); err != nil || output != "" {
			t.Errorf("bicep %v: got error %v and\n%s\nwant no output", args, err, output)
		}
	}
}

func TestTheLinterIsStrict(t *testing.T) {
	t.Parallel()
	compiler := biceptest.Compiler(t)
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(biceptest.Folder(), "bicepconfig.json"), filepath.Join(dir, "bicepconfig.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sloppy.bicep"), []byte("param unused string\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := biceptest.Run(t, ".", "lint", filepath.Join(dir, "sloppy.bicep"))
	if err == nil || !strings.Contains(output, "Error no-unused-params") {
		t.Errorf("%s, for an unused parameter: got error %v and %s, want no-unused-params", compiler, err, output)
	}
}

func TestTheTemplatesAreFormatted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, file := range templates(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		formatted := filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(formatted), 0o755), os.WriteFile(formatted, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pattern := range []string{"**/*.bicep", "*.bicepparam"} {
		if output, err := biceptest.Run(t, dir, "format", "--pattern", pattern); err != nil {
			t.Fatalf("bicep format: got error %v and\n%s\nwant formatted files", err, output)
		}
	}
	for _, file := range templates(t) {
		got, _ := os.ReadFile(file)
		want, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: got an unformatted file (error %v), want it as bicep format %s writes it", file, err, file)
		}
	}
}

var described = regexp.MustCompile(`(?m)^(@[^\n]*\n)*param `)

func TestEveryParameterOfTheDeploymentIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.bicep")
	if err != nil {
		t.Fatal(err)
	}
	for _, parameter := range described.FindAllString(string(text), -1) {
		if !strings.Contains(parameter, "@description(") {
			t.Errorf("got the parameter %s, want a description", parameter)
		}
	}
}

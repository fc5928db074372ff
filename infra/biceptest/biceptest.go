// Package biceptest evaluates the deployment's templates with the Bicep compiler, so that
// tests can check the resources that it would create. Start reading at Take.
package biceptest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// The pretended target of a snapshot's deployment.
const (
	Subscription  = "00000000-0000-0000-0000-000000000001"
	ResourceGroup = "rg"
)

// A Resource is a resource that a deployment would create.
type Resource struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Name       string         `json:"name"`
	SKU        map[string]any `json:"sku"`
	Tags       map[string]any `json:"tags"`
	Properties map[string]any `json:"properties"`
}

// A Snapshot holds the resources that a deployment would create. Values that only Azure
// knows are expressions.
type Snapshot struct {
	Resources []Resource     `json:"predictedResources"`
	Outputs   map[string]any `json:"outputs"`
	Text      string         `json:"-"` // the whole of it
}

// Compiler returns the Bicep compiler that BICEP names, or bicep. Without one the test is
// skipped.
func Compiler(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: it compiles Bicep")
	}
	name := os.Getenv("BICEP")
	if name == "" {
		name = "bicep"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no Bicep compiler: install bicep, or set BICEP (%v)", err)
	}
	if path, err = filepath.Abs(path); err != nil { // it runs in another folder
		t.Fatal(err)
	}
	return path
}

// Folder returns infra/ of the checkout that this file was compiled from.
func Folder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// Run runs the compiler in a folder and returns what it prints, warnings included.
func Run(t testing.TB, dir string, args ...string) (output string, err error) {
	t.Helper()
	command := exec.Command(Compiler(t), args...)
	command.Dir = dir
	text, err := command.CombinedOutput()
	return strings.TrimSpace(string(text)), err
}

// taken caches snapshots by their parameters.
var taken sync.Map

// A snapshot is taken once, by the first test that needs it.
type snapshot struct {
	sync.Once
	snapshot Snapshot
	err      error
}

// Take returns what infra/main.bicep would create with parameters, written as in a parameter
// file; a model is added. It runs the compiler once for the same parameters.
func Take(t testing.TB, parameters string) Snapshot {
	t.Helper()
	const model = "param model = { deployment: 'DeepSeek-R1', name: 'DeepSeek-V3.2', version: '1', format: 'DeepSeek', sku: 'GlobalStandard', capacity: 100 }\n"
	Compiler(t) // skips, which only the test itself may
	kept, _ := taken.LoadOrStore(parameters, new(snapshot))
	one := kept.(*snapshot)
	one.Do(func() { one.snapshot, one.err = TakeFile(t, "using 'main.bicep'\n"+model+parameters) })
	if one.err != nil {
		t.Fatal(one.err)
	}
	return one.snapshot
}

// TakeFile returns what a whole parameter file of infra/ would create, or why it is invalid.
func TakeFile(t testing.TB, text string) (s Snapshot, err error) {
	t.Helper()
	return TakeFrom(t, Folder(), text)
}

// TakeFrom returns what a whole parameter file would create with the templates in a folder.
func TakeFrom(t testing.TB, folder, text string) (s Snapshot, err error) {
	t.Helper()
	// The compiler accepts no absolute path to a template and writes its answer next to the
	// parameter file, so that file is put next to links to infra/.
	dir := t.TempDir()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if err := os.Symlink(filepath.Join(folder, entry.Name()), filepath.Join(dir, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "taken.bicepparam"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(Compiler(t), "snapshot", "taken.bicepparam", "--mode", "overwrite",
		"--subscription-id", Subscription, "--resource-group", ResourceGroup, "--location", "westeurope")
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		return s, fmt.Errorf("bicep snapshot: %w\n%s", err, output)
	}
	answer, err := os.ReadFile(filepath.Join(dir, "taken.snapshot.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.Text = string(answer)
	return s, json.Unmarshal(answer, &s)
}

// Of returns the resources of a type.
func (s Snapshot) Of(kind string) (found []Resource) {
	for _, r := range s.Resources {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	return found
}

// One returns the only resource of a type.
func (s Snapshot) One(t testing.TB, kind string) Resource {
	t.Helper()
	found := s.Of(kind)
	if len(found) != 1 {
		t.Fatalf("got %d resources of type %s, want one", len(found), kind)
	}
	return found[0]
}

// At returns the value at a path of property names, nil if there is none.
func (r Resource) At(path ...string) any {
	var value any = r.Properties
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// UnmarshalJSON reads a resource. Properties that depend on a secret as a whole are an
// expression instead of an object: they become the property "expression".
func (r *Resource) UnmarshalJSON(text []byte) error {
	type plain Resource
	read := struct {
		*plain
		Properties json.RawMessage `json:"properties"`
	}{plain: (*plain)(r)}
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	var expression string
	if json.Unmarshal(read.Properties, &expression) == nil && expression != "" {
		r.Properties = map[string]any{"expression": expression}
		return nil
	}
	if read.Properties == nil {
		return nil
	}
	return json.Unmarshal(read.Properties, &r.Properties)
}

// Settings returns the app's settings.
func (s Snapshot) Settings(t testing.TB) map[string]string {
	t.Helper()
	settings := make(map[string]string)
	for name, value := range s.One(t, "Microsoft.Web/sites/config").Properties {
		settings[name], _ = value.(string)
	}
	return settings
}

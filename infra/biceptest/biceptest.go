// Package biceptest asks the Bicep compiler what the deployment would make, for
// tests.
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

// Where a snapshot is deployed to, in pretence.
const (
	Subscription  = "00000000-0000-0000-0000-000000000001"
	ResourceGroup = "rg"
)

// Resource is one that a deployment would make.
type Resource struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Name       string         `json:"name"`
	SKU        map[string]any `json:"sku"`
	Tags       map[string]any `json:"tags"`
	Properties map[string]any `json:"properties"`
}

// Snapshot is what a deployment would make, as far as can be said without
// Azure: what only Azure knows stands there as an expression.
type Snapshot struct {
	Resources []Resource     `json:"predictedResources"`
	Outputs   map[string]any `json:"outputs"`
	Text      string         `json:"-"` // the whole of it
}

// Compiler is the Bicep compiler that BICEP names, or bicep. Without one the
// test is skipped.
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

// Folder is infra/ of the checkout that this file was compiled from.
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

// taken holds what was taken before, by parameters.
var taken sync.Map

// snapshot is one that is taken once, whoever asks first.
type snapshot struct {
	sync.Once
	snapshot Snapshot
	err      error
}

// Take is what infra/main.bicep would make with these parameters, written as in
// a parameter file; a model is among them already. The same parameters are
// asked of the compiler once.
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

// TakeFile is what a whole parameter file of infra/ would make, or why it makes nothing.
func TakeFile(t testing.TB, text string) (s Snapshot, err error) {
	t.Helper()
	return TakeFrom(t, Folder(), text)
}

// TakeFrom is what a whole parameter file would make of the templates in a folder.
func TakeFrom(t testing.TB, folder, text string) (s Snapshot, err error) {
	t.Helper()
	// The compiler takes no absolute path of a template, and writes its answer
	// beside the parameter file, so that is put beside links to infra/.
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

// Of lists the resources of a type.
func (s Snapshot) Of(kind string) (found []Resource) {
	for _, r := range s.Resources {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	return found
}

// One is the only resource of a type.
func (s Snapshot) One(t testing.TB, kind string) Resource {
	t.Helper()
	found := s.Of(kind)
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, not one", len(found), kind)
	}
	return found[0]
}

// At is the value at a path of property names, nil where there is none.
func (r Resource) At(path ...string) any {
	var value any = r.Properties
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// UnmarshalJSON reads a resource. Properties that hang on a secret as a whole are
// an expression, not an object: they become the property "expression".
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

// Settings are the app's settings.
func (s Snapshot) Settings(t testing.TB) map[string]string {
	t.Helper()
	settings := make(map[string]string)
	for name, value := range s.One(t, "Microsoft.Web/sites/config").Properties {
		settings[name], _ = value.(string)
	}
	return settings
}

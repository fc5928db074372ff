package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers hold the packages of the product, from the bottom up, by the first part of
// their paths. A package imports those of the layers below it, and packages of its own
// folder.
var layers = []struct {
	name     string
	packages []string
}{
	{"ground", []string{"field", "jsonscan", "limit", "recent", "secret", "shape", "version"}},
	{"ground", []string{"azure"}},
	{"pure core", []string{"lease", "tokens"}},
	{"pure core", []string{"operation"}},
	{"pure core", []string{"charge"}}, // what calls cost, by what operation reads and tokens counts
	{"domain", []string{"counter", "ledger", "price", "stored", "strangers", "subscription", "telemetry", "upstream"}},
	{"edges", []string{"alert", "console", "gateway", "housekeeping", "manage"}},
	{"settings", []string{"config"}},
	{"checks", []string{"doctor"}},
	{"wiring", []string{"app"}},
	{"main", []string{"tollgate/handler"}},
}

// pure are the packages that compute and nothing else.
var pure = []string{"charge", "field", "jsonscan", "lease", "limit", "operation", "shape", "tokens"}

// effects are the standard library's packages that pure ones do without, by prefix.
var effects = []string{"database", "io/ioutil", "log", "net", "os", "syscall"}

// tools are the folders for developing, testing and operating the product, which isn't
// built from them, and suffixes of its packages that only tests import.
var (
	tools     = []string{"asynctest", "cmd", "e2e", "local"}
	testsOnly = []string{"test", "lease/model", "tokens/reference"}
)

// fences name the packages that may import an SDK, or a library as large, by its path's
// prefix.
var fences = map[string][]string{
	"github.com/Azure/azure-sdk-for-go/sdk/azcore":        {"azure", "counter/tablestore", "housekeeping/tablestore", "ledger/tablestore", "manage/tablestore", "price/tablestore", "stored/tablestore", "subscription/tablestore"},
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity":    {"azure"},
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables": {"azure", "counter/tablestore", "housekeeping/tablestore", "ledger/tablestore", "manage/tablestore", "price/tablestore", "stored/tablestore", "subscription/tablestore"},
	"github.com/MicahParks/jwkset":                        {"manage/entra"},
	"github.com/MicahParks/keyfunc":                       {"manage/entra"},
	"github.com/evanphx/json-patch":                       {"manage"},
	"github.com/golang-jwt/jwt":                           {"manage/entra"},
	"github.com/microsoft/ApplicationInsights-Go":         {"telemetry/appinsights"},
	"github.com/pkoukk/tiktoken-go":                       {"tokens"},
	"github.com/rs/cors":                                  {"gateway"},
}

const module = "tollgate/handler/"

// imports lists each package below handler/ with what it imports outside its tests.
// Names of the module's own packages are without the module's path.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		packages[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	return packages
}

// own returns the name below handler/ of an imported package of the module.
func own(imported string) (name string, ok bool) { return strings.CutPrefix(imported, module) }

// folder returns the first part of a package's name below handler/.
func folder(name string) string {
	if name == strings.TrimSuffix(module, "/") {
		return name
	}
	first, _, _ := strings.Cut(name, "/")
	return first
}

// layerOf returns the index of a package's layer, or -1.
func layerOf(name string) int {
	for i, layer := range layers {
		if slices.Contains(layer.packages, folder(name)) {
			return i
		}
	}
	return -1
}

// layerName returns the name of a package's layer, or nothing.
func layerName(name string) string {
	if i := layerOf(name); i >= 0 {
		return layers[i].name
	}
	return ""
}

// within reports whether a package is one of the places or below one.
func within(name string, places ...string) bool {
	return slices.ContainsFunc(places, func(place string) bool { return name == place || strings.HasPrefix(name, place+"/") })
}

// forTests reports whether only tests may import a package.
func forTests(name string) bool {
	return slices.ContainsFunc(testsOnly, func(end string) bool { return strings.HasSuffix(name, end) })
}

func TestImportsPointDown(t *testing.T) {
	packages := imports(t)
	for _, layer := range layers {
		for _, name := range layer.packages {
			if _, there := packages[name]; !there {
				t.Errorf("layers has %s, which is no package: remove it", name)
			}
		}
	}
	for name, imported := range packages {
		if within(name, tools...) {
			continue
		}
		from := layerOf(name)
		if from < 0 {
			t.Errorf("%s is in no layer: add its folder to layers, so that everybody knows what it may import", name)
			continue
		}
		for _, path := range imported {
			to, ours := own(path)
			if !ours || folder(to) == folder(name) || within(to, tools...) || layerOf(to) < from {
				continue
			}
			t.Errorf("%s (%s) imports %s (%s): imports point down, so that a package can be read, tested and replaced without those above and beside it. "+
				"Move what both need to a lower layer, or let a higher one bring them together", name, layerName(name), to, layerName(to))
		}
	}
}

// cores name the pure core that a domain package may import beside the ground: its own.
var cores = map[string]string{"counter": "lease"}

func TestDomainPackagesImportTheGroundAndTheirCoresOnly(t *testing.T) {
	for name, imported := range imports(t) {
		if within(name, tools...) || layerName(name) != "domain" {
			continue
		}
		for _, path := range imported {
			to, ours := own(path)
			if !ours || folder(to) == folder(name) || layerName(to) == "ground" || folder(to) == cores[folder(name)] {
				continue
			}
			t.Errorf("%s imports %s: a domain package imports the ground and its own pure core only. Let gateway or manage, the edges, bring them together", name, to)
		}
	}
}

func TestPurePackagesHaveNoEffects(t *testing.T) {
	for name, imported := range imports(t) {
		if !within(name, pure...) || forTests(name) || within(name, "tokens/cmd") {
			continue
		}
		for _, path := range imported {
			if within(path, effects...) {
				t.Errorf("%s imports %s: it is pure, so that its results depend on its arguments alone. Do I/O in the package that calls it, and pass in what it read", name, path)
			}
			to, ours := own(path)
			if ours && !within(to, pure...) {
				t.Errorf("%s imports %s, which is not pure: pass in what it needs of it", name, to)
			}
			if !ours && strings.Contains(path, ".") && !within(path, "github.com/pkoukk/tiktoken-go") { // which counts, and reads no file by itself
				t.Errorf("%s imports %s: a pure package imports the standard library and pure packages of ours", name, path)
			}
		}
	}
}

func TestTheProductImportsNoToolsAndNoTestSuites(t *testing.T) {
	for name, imported := range imports(t) {
		if within(name, tools...) || forTests(name) || within(name, "tokens/cmd") {
			continue
		}
		for _, path := range imported {
			if to, ours := own(path); ours && (within(to, tools...) || forTests(to)) {
				t.Errorf("%s imports %s, which is for developing and operating the product: what is deployed must not contain it", name, to)
			}
		}
	}
}

func TestSDKsStayInLeaves(t *testing.T) {
	for name, imported := range imports(t) {
		if within(name, tools...) {
			continue
		}
		for _, path := range imported {
			for fence, places := range fences {
				if strings.HasPrefix(path, fence) && !within(name, places...) {
					t.Errorf("%s imports %s, which only %s may: everybody else depends on our own types, so that an SDK can change in one place", name, path, strings.Join(places, ", "))
				}
			}
		}
	}
}

func TestTheGatewayLinksNoVocabularyButItsOwn(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, embeds := range []string{"github.com/pkoukk/tiktoken-go-loader", "github.com/tiktoken-go/tokenizer"} {
		if slices.Contains(strings.Fields(string(out)), embeds) {
			t.Errorf("the gateway links %s, whose embedded vocabularies weigh 7 MB: import it in tests and tools only", embeds)
		}
	}
}

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// concepts are the packages of the request path. Each can be read, tested and
// replaced alone: none imports another.
var concepts = []string{"chat", "counter", "subscription", "telemetry", "tokens", "upstream"}

// ground are the packages that every other may import. They import the standard
// library only.
var ground = []string{"jsonscan", "limit"}

// fences name the packages that may import a dependency, by its path's prefix.
var fences = map[string][]string{
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables": {"azure", "counter/tablestore", "housekeeping/tablestore", "manage/tablestore", "subscription/tablestore"},
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity":    {"azure"},
	"github.com/MicahParks/keyfunc":                       {"manage/entra"},
	"github.com/MicahParks/jwkset":                        {"manage/entra"},
	"github.com/evanphx/json-patch":                       {"manage"},
	"github.com/golang-jwt/jwt":                           {"manage/entra"},
	"github.com/microsoft/ApplicationInsights-Go":         {"telemetry"},
	"github.com/rs/cors":                                  {"gateway"},
	"github.com/pkoukk/tiktoken-go":                       {"tokens"},
}

// imports lists each package of the module below handler/ with what it imports
// outside its tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		packages[strings.TrimPrefix(fields[0], "tollgate/handler/")] = fields[1:]
	}
	return packages
}

func TestSiblingsNeverImportEachOther(t *testing.T) {
	packages := imports(t)
	for _, from := range concepts {
		for _, imported := range packages[from] {
			name, ours := strings.CutPrefix(imported, "tollgate/handler/")
			if ours && slices.Contains(concepts, name) {
				t.Errorf("%s imports %s", from, name)
			}
		}
	}
}

func TestTheGroundImportsOnlyTheStandardLibrary(t *testing.T) {
	packages := imports(t)
	for _, from := range ground {
		imported, there := packages[from]
		if !there {
			t.Errorf("there is no package %s", from)
		}
		for _, name := range imported {
			if strings.Contains(name, ".") || strings.HasPrefix(name, "tollgate/") {
				t.Errorf("%s imports %s, want the standard library only", from, name)
			}
		}
	}
}

func TestSDKsStayFencedInLeaves(t *testing.T) {
	for name, imported := range imports(t) {
		for _, dependency := range imported {
			for fence, inside := range fences {
				if strings.HasPrefix(dependency, fence) && !within(name, inside) {
					t.Errorf("%s imports %s, which belongs in %v", name, dependency, inside)
				}
			}
		}
	}
}

func within(name string, places []string) bool {
	for _, place := range places {
		if name == place || strings.HasPrefix(name, place+"/") || strings.HasPrefix(name, "cmd/") {
			return true
		}
	}
	return false
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

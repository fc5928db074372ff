// Package docs_test checks the documentation: that links work, that README is short and
// links to every page, and that the pages name existing settings, targets and files.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// maxWords limits README to five minutes of reading.
const maxWords = 1500

// pages returns the paths, from the root, of the files for users, operators and contributors.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "infra/*.md", ".github/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			all = append(all, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
		}
	}
	return all
}

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fence matches a block of code. Its headings and links don't count.
var fence = regexp.MustCompile("(?ms)^ *```.*?^ *```$")

var heading = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)

// notInAnchor matches the characters that GitHub leaves out of a heading's anchor.
var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\p{M}\p{Pc} -]`)

// anchors returns the anchors that GitHub gives a page's headings.
func anchors(text string) []string {
	var all []string
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return all
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// links returns the targets of a page's links and pictures within the repository.
func links(text string) []string {
	var all []string
	for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		if !strings.Contains(match[1], "://") {
			all = append(all, match[1])
		}
	}
	return all
}

// broken returns what is wrong with a page's link, or "".
func broken(t *testing.T, page, target string) string {
	path, anchor, anchored := strings.Cut(target, "#")
	file := page
	if path != "" {
		file = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
	}
	if _, err := os.Stat(filepath.Join(root, file)); err != nil {
		return "there is no " + file
	}
	if anchored && !slices.Contains(anchors(read(t, file)), anchor) {
		return file + " has no heading #" + anchor
	}
	return ""
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, target := range links(read(t, page)) {
			if wrong := broken(t, page, target); wrong != "" {
				t.Errorf("%s: got the broken link %s (%s), want one that leads somewhere", page, target, wrong)
			}
		}
	}
}

func TestABrokenLinkIsFound(t *testing.T) {
	for target, want := range map[string]string{
		"docs/no-such-page.md":  "there is no docs/no-such-page.md",
		"docs/calls.md#nowhere": "docs/calls.md has no heading #nowhere",
		"#nowhere":              "README.md has no heading #nowhere",
		"docs/calls.md#errors":  "",
		"docs/limits.md#while-the-counters-cant-be-reached": "",
		"#try-it": "",
	} {
		if got := broken(t, "README.md", target); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	if words := len(strings.Fields(read(t, "README.md"))); words > maxWords {
		t.Errorf("README.md: got %d words, want at most %d", words, maxWords)
	}
}

func TestReadmeLeadsToEveryPage(t *testing.T) {
	linked := links(read(t, "README.md"))
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "docs/") && !slices.Contains(linked, page) {
			t.Errorf("README.md: got no link to %s, want one", page)
		}
	}
}

// TestAPageListsItsSections: readers find a section by the list at the page's beginning.
func TestAPageListsItsSections(t *testing.T) {
	for _, page := range pages(t) {
		if !strings.HasPrefix(page, "docs/") {
			continue
		}
		text := fence.ReplaceAllString(read(t, page), "")
		linked := links(text)
		for _, match := range regexp.MustCompile(`(?m)^## +(.+)$`).FindAllStringSubmatch(text, -1) {
			if anchor := "#" + anchors("## " + match[1])[0]; !slices.Contains(linked, anchor) {
				t.Errorf("%s: got no entry for its section %q, want one in its list", page, match[1])
			}
		}
	}
}

// cell matches the first cell of a table's row, and name a name in it.
var (
	cell = regexp.MustCompile(`(?m)^\| ([^|]*) \|`)
	name = regexp.MustCompile("`([^`]+)`")
)

// TestEachSettingHasOneRow: a setting or header is in one table of all pages.
func TestEachSettingHasOneRow(t *testing.T) {
	where := make(map[string]string)
	setting := regexp.MustCompile(`^([A-Z][A-Z0-9]*(_[A-Z0-9]+)+|AzureWebJobsStorage\w*|x-[a-z-]+)$`)
	for _, page := range pages(t) {
		for _, row := range cell.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			for _, match := range name.FindAllStringSubmatch(row[1], -1) {
				if !setting.MatchString(match[1]) {
					continue
				}
				if other, twice := where[match[1]]; twice {
					t.Errorf("%s: got rows in %s and %s, want one", match[1], other, page)
				}
				where[match[1]] = page
			}
		}
	}
	if len(where) < 60 {
		t.Errorf("got %d settings and headers in tables, want 60 or more: %v", len(where), where)
	}
}

// TestEveryMakeTargetExists checks the make commands in the pages against the Makefile.
func TestEveryMakeTargetExists(t *testing.T) {
	makefile, named := read(t, "Makefile"), 0
	for _, page := range pages(t) {
		for _, match := range regexp.MustCompile("(?m)(?:`|^|[A-Z]=\\S+ )make ([a-z][a-z-]*)").FindAllStringSubmatch(read(t, page), -1) {
			named++
			if !strings.Contains(makefile, "\n"+match[1]+":") {
				t.Errorf("%s: got make %s, want a target of the Makefile", page, match[1])
			}
		}
	}
	if named < 20 {
		t.Errorf("got %d make commands in the pages, want 20 or more", named)
	}
}

// TestEveryProgramOfACommandExists checks the programs that the pages pass to go run or
// go build.
func TestEveryProgramOfACommandExists(t *testing.T) {
	for _, page := range pages(t) {
		for _, match := range regexp.MustCompile(`(?:go run|go build -o \S+) \./(\S+?)[\s`+"`"+`]`).FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s: got ./%s, want a file that exists", page, match[1])
			}
		}
	}
}

// TestTheMapOfTheCodeNamesExistingPaths checks every path and file that the map names:
// whole paths, the gateway's files in the table of steps, and those of counter and lease in
// the paragraph after it.
func TestTheMapOfTheCodeNamesExistingPaths(t *testing.T) {
	text := read(t, "docs/architecture.md")
	named := regexp.MustCompile("`((?:handler|infra)(?:/[a-z0-9_./]+)?)`").FindAllStringSubmatch(text, -1)
	if len(named) < 40 {
		t.Fatalf("got %d paths, want at least 40: the pattern misses them", len(named))
	}
	for _, path := range named {
		if _, err := os.Stat(filepath.Join(root, path[1])); err != nil {
			t.Errorf("docs/architecture.md names %s, want a path that is there: %v", path[1], err)
		}
	}
	steps, rest, _ := strings.Cut(text, "What a counter does")
	counters, _, _ := strings.Cut(rest, "\n## ")
	wantFiles(t, steps, "handler/gateway")
	wantFiles(t, counters, "handler/counter", "handler/lease")
}

// wantFiles checks that each Go file that a text names without its folder is in one of the
// folders.
func wantFiles(t *testing.T, text string, folders ...string) {
	t.Helper()
	named := regexp.MustCompile("`([a-z]+\\.go)`").FindAllStringSubmatch(text, -1)
	if len(named) < 5 {
		t.Errorf("docs/architecture.md: got %d files of %v, want 5 or more", len(named), folders)
	}
	for _, file := range named {
		if !slices.ContainsFunc(folders, func(folder string) bool {
			_, err := os.Stat(filepath.Join(root, folder, file[1]))
			return err == nil
		}) {
			t.Errorf("docs/architecture.md: got %s, want a file in one of %v", file[1], folders)
		}
	}
}

var (
	tableList = regexp.MustCompile(`(?m)^var (?:directory|ledgers|tableNames) = .*$`)
	quoted    = regexp.MustCompile(`'(\w+)'`)
	alertRule = regexp.MustCompile(`(?m)^    title: `)
)

// TestDeployingCountsWhatTheTemplatesCreate checks the tables and the number of alert rules.
func TestDeployingCountsWhatTheTemplatesCreate(t *testing.T) {
	page := read(t, "docs/deploy.md")
	tables := quoted.FindAllStringSubmatch(strings.Join(tableList.FindAllString(read(t, "infra/modules/storage.bicep"), -1), "\n"), -1)
	if len(tables) == 0 {
		t.Fatal("got no tables in infra/modules/storage.bicep, want some")
	}
	for _, table := range tables {
		if !strings.Contains(page, "`"+table[1]+"`") {
			t.Errorf("docs/deploy.md: got no table %s, want it", table[1])
		}
	}
	rules := len(alertRule.FindAllString(read(t, "infra/modules/alerts.bicep"), -1))
	if want := fmt.Sprintf("| %d rules, every 5 minutes", rules); !strings.Contains(page, want) {
		t.Errorf("docs/deploy.md: got no %q, want it for the %d rules of infra/modules/alerts.bicep", want, rules)
	}
}

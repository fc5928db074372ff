// Package version says which build this is.
package version

import "runtime/debug"

// stamp is set by the Makefile's builds: -ldflags "-X tollgate/handler/version.stamp=…".
var stamp string

// String is the stamp of a build, as git describes the sources: a tag, a
// commit, and -dirty where files were changed. Without a stamp it is the commit
// that the go command noted, or "development".
func String() string {
	if stamp != "" {
		return stamp
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	return revision(info.Settings)
}

func revision(settings []debug.BuildSetting) string {
	commit, suffix := "development", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = "-dirty"
		}
	}
	return commit + suffix
}

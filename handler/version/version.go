// Package version identifies the build of the running program.
package version

import "runtime/debug"

// stamp is set by the Makefile's builds: -ldflags "-X tollgate/handler/version.stamp=…".
var stamp string

// String returns the version: the stamp, which is the output of git describe (a tag, a
// commit, and -dirty if files were changed), else the commit that the go command recorded,
// else "development".
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

// revision returns the commit in build settings, or "development".
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

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// defaultFile is the Functions host's file for the settings of a local run.
const defaultFile = "local.settings.json"

// A settingsFile is the content of a local.settings.json.
type settingsFile struct {
	path   string
	values map[string]string
}

func (f settingsFile) value(name string) string { return strings.TrimSpace(f.values[name]) }

// String returns the file's name for errors.
func (f settingsFile) String() string { return f.path }

// file reads the settings file that --settings names, or the default one if it exists.
func (a *app) file() (settingsFile, error) {
	f := settingsFile{path: a.settingsPath}
	if f.path == "" {
		f.path = defaultFile
	}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) && a.settingsPath == "" {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("--settings: %w", err)
	}
	var document struct {
		IsEncrypted bool
		Values      map[string]string
	}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &document); err != nil {
		return f, fmt.Errorf("%s is not a settings file: it must be JSON with an object Values of strings", f.path) // the cause may quote a secret
	}
	if document.IsEncrypted {
		return f, fmt.Errorf("%s is encrypted: run func settings decrypt, or set the environment", f.path)
	}
	f.values = document.Values
	return f, nil
}

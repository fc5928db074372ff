package main

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"

	"tollgate/handler/manage"
)

// page is the page to print. It needs no other file and runs no script.
//
//go:embed report.html
var page string

// reportPage is parsed when the first page is written, with the functions of one report.
func reportPage(r shownReport) (*template.Template, error) {
	return template.New("report").Funcs(template.FuncMap{
		"number": full,
		"money":  r.money(),
		"group":  groupName,
		"depth":  func(path string) int { return strings.Count(path, "/") },
		"date":   date,
		"day":    func(t time.Time) string { return t.Format("2 January 2006") },
		"cells":  func(p manage.Part) reportCells { return reportCells{p, r.Currency != ""} },
	}).Parse(page)
}

// reportCells are a part of a report, with cost or without.
type reportCells struct {
	manage.Part
	Priced bool
}

// Start and End return the month's first and last day.
func (r shownReport) Start() time.Time { return monthOf(r.Month) }
func (r shownReport) End() time.Time   { return r.Start().AddDate(0, 1, -1) }

// monthOf returns the beginning of a month as reports name it.
func monthOf(text string) time.Time {
	month, _ := time.Parse("2006-01", text) // the API has written it
	return month
}

// writeHTML writes the report as a page to print.
func (r shownReport) writeHTML(w io.Writer) error {
	parsed, err := reportPage(r)
	if err != nil {
		return err
	}
	return parsed.Execute(w, r)
}

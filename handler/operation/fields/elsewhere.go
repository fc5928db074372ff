package fields

import "strings"

// elsewhere are the fields that make a model read something that isn't in the body, in
// lower case and without underscores.
var elsewhere = map[string]bool{
	"datasources": true, "websearchoptions": true, "websearch": true, "enablesearch": true, "searchparameters": true,
	"plugins": true, "files": true, "fileids": true, "attachments": true, "mcpservers": true,
	"previousresponseid": true, "conversation": true, "thread": true, "promptid": true,
	"image": true, "images": true, "imageurl": true, "imageurls": true, "video": true, "videos": true, "videourl": true,
	"inputaudio": true, "toolresources": true, "vectorstoreids": true, "searchoptions": true, "groundingoptions": true,
}

// branching are the fields, spelled as in elsewhere, that make a server write more
// completions than it returns.
var branching = map[string]bool{
	"bestof": true, "usebeamsearch": true, "numbeams": true, "beamwidth": true, "numreturnsequences": true, "candidatecount": true,
}

// ReadsElsewhere reports whether a field makes a model read something that isn't in the
// body.
func ReadsElsewhere(key []byte) bool { return elsewhere[normalized(key)] }

// Branches reports whether a field makes a server write more completions than it returns.
func Branches(key []byte) bool { return branching[normalized(key)] }

// normalized returns a field's name in lower case and without underscores.
func normalized(key []byte) string { return strings.ReplaceAll(strings.ToLower(string(key)), "_", "") }
